# SPDX-License-Identifier: MIT
"""Sockets that answer commands, for the tests of the commands (see switchboard.py)."""

from __future__ import annotations

import pytest
from switchboard import spale, switchboard


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Return a socket that answers as the documents say."""
    with switchboard(tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture
def board_with(tmp_path):
    """Return a function that makes a socket with other answers, and asks it once."""

    def ask(words, **changes):
        with switchboard(tmp_path, **changes) as board:
            return spale(*words, "--socket", board.path)

    return ask
