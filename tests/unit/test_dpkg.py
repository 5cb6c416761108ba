# SPDX-License-Identifier: MIT
"""Whose library it is that an artefact copies."""

from __future__ import annotations

import os

import dpkg
import pytest

ANSWER = """\
diversion by other from: {}/lib/libz.so.1.2
zlib-of-others:amd64: {}/opt/libz.so.1.2
zlib1g:amd64, zlib1g:i386: {}/lib/libz.so.1.2
"""


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return the root of a system in which /lib is a link, and a dpkg that knows of files there."""
    for folder in ("usr/lib", "opt", "bin"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "libz.so.1.2").write_text(folder)
    (tmp_path / "lib").symlink_to("usr/lib")
    query = tmp_path / "bin/dpkg-query"
    query.write_text(f"#!/bin/sh\ncat <<'END'\n{ANSWER.format(tmp_path, tmp_path, tmp_path)}END\n")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{query.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def test_the_folder_counts_whatever_it_is_called(system):
    """Not another's library of the same name, nor one that dpkg does not know."""
    assert dpkg.owner(system / "usr/lib/libz.so.1.2") == "zlib1g:amd64"
    assert dpkg.owner(system / "lib/libz.so.1.2") == "zlib1g:amd64"
    assert dpkg.owner(system / "opt/libz.so.1.2") == "zlib-of-others:amd64"
    assert dpkg.owner(system / "bin/libz.so.1.2") is None


def test_where_there_is_no_dpkg_nobody_knows(system, monkeypatch):
    """That is no error yet."""
    monkeypatch.setenv("PATH", str(system / "opt"))
    assert dpkg.owner(system / "usr/lib/libz.so.1.2") is None
