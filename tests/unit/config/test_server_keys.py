# SPDX-License-Identifier: MIT
"""A server's key is looked at in a process of its own, with the same outcome."""

from __future__ import annotations

import os

import pytest

from spale_core.config.mistakes import BadValueError
from spale_core.config.server_keys import look, look_apart
from spale_crypto_hpke.keys import write_private, write_public
from spale_crypto_hpke.suite import KeyPair


@pytest.fixture
def pair():
    """Return a pair of keys."""
    return KeyPair.generate()


@pytest.fixture
def path(tmp_path):
    """Return the path of a file that nobody else may read, empty as yet."""
    path = tmp_path / "server.key"
    path.touch(0o600)
    return path


@pytest.mark.parametrize("way", [look, look_apart])
def test_a_key(way, pair, path):
    """Its public half comes back."""
    path.write_bytes(write_private(pair.private.private_bytes_raw()))
    assert way(path) == pair.public


@pytest.mark.parametrize("way", [look, look_apart])
def test_no_key(way, pair, path):
    """The sentence names the file and what is wrong."""
    path.write_bytes(write_public(pair.public))
    with pytest.raises(BadValueError, match=rf"^{path} holds a public key"):
        way(path)
    path.chmod(0o644)
    with pytest.raises(BadValueError, match="may be read by others"):
        way(path)
    path.unlink()
    with pytest.raises(BadValueError, match="does not exist"):
        way(path)


def test_a_child_that_fails(tmp_path):
    """Nothing but an answer counts; no process is left behind."""
    with pytest.raises(BadValueError, match="cannot be looked at"):
        look_apart(f"{tmp_path}/\0")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
