# SPDX-License-Identifier: MIT
"""LOADER=bcc asks for a compiler that a distribution installs, or has not installed."""

from __future__ import annotations

from spale_core import bindings


def test_it_is_said_what_to_install(lab, monkeypatch):
    """Where bcc is not installed LOADER=bcc is a mistake, with its place and the commands."""
    monkeypatch.setattr(bindings, "PLACES", ())
    (found,) = lab.mistakes("LOADER=bcc")
    assert found.startswith("LAB/spale.conf:7: LOADER: bcc's Python bindings are not installed; ")
    assert "`apt install python3-bpfcc`" in found
    (found,) = lab.mistakes(options={"LOADER": "bcc"})
    assert found.startswith("--loader: ")
    assert lab.load("LOADER=libbpf").loader == "libbpf"


def test_it_is_found_where_distributions_put_it(lab, monkeypatch, tmp_path):
    """Not where a virtual environment has something of that name, nor where only its folder was left."""
    package = tmp_path / "bcc"
    (package / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(bindings, "PLACES", (str(tmp_path).lstrip("/"),))
    assert bindings.find() is None
    (package / "__init__.py").touch()
    assert lab.load("LOADER=bcc").loader == "bcc"
    assert bindings.find() == bindings.Bindings(tmp_path, "unknown")
    (package / "version.py").write_text("__version__ = '0.26.0'\n")
    assert bindings.find() == bindings.Bindings(tmp_path, "0.26.0")
