# SPDX-License-Identifier: MIT
"""Where the wheels are that `nox -s build` has made, and what else that session hands over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = Path(os.environ.get("SPALE_DIST", ROOT / "dist"))
NAMES = ("spale_bpf", "spale_core", "spale_crypto_hpke", "spale_tc", "spale_xdp")


def made(pattern):
    """Return the files of dist/ that match, five of them."""
    found = sorted(DIST.glob(pattern))
    if len(found) != len(NAMES):
        pytest.fail(f"{DIST} has {len(found)} of five {pattern}: .venv/bin/nox -s build", pytrace=False)
    return found


def from_session(name):
    """Return what the session has put into the environment."""
    if name not in os.environ:
        pytest.fail(f"{name} is not set: .venv/bin/nox -s build sets it", pytrace=False)
    return os.environ[name]


def wheels():
    """Return the five wheels, by the package in each."""
    return dict(zip(NAMES, made("spale*.whl"), strict=True))
