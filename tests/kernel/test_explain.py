# SPDX-License-Identifier: MIT
"""`spale explain` with the real program, and a daemon whose facts are known."""

from __future__ import annotations

import json

import pytest
from switchboard import answers, documented, spale, switchboard

pytestmark = pytest.mark.kernel

EXAMPLES = [(words, lines) for words, lines in documented() if words[0] == "explain"]


@pytest.fixture
def board(tmp_path):
    """Return a socket that answers as the documents say."""
    with switchboard(tmp_path) as board:
        yield board


@pytest.mark.parametrize(("words", "lines"), EXAMPLES, ids=[" ".join(words) for words, _ in EXAMPLES])
def test_documented_examples(board, words, lines):
    """docs/operations.md shows what is printed, to the letter; nothing but the facts is asked for."""
    done = spale(*words, "--socket", board.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == lines
    assert {method for method, _ in board.calls} == {"facts"}


def test_both_protocols(board):
    """A port without one is asked about in both, each with its own packets."""
    done = spale("explain", "192.0.2.1", "22", "--json", "--socket", board.path)
    assert (done.returncode, done.stderr) == (0, "")
    found = {each["service"]: each for each in json.loads(done.stdout)["services"]}
    assert {service: [packet["packet"] for packet in each["packets"]] for service, each in found.items()} == {
        "22/tcp": ["syn", "ack"],
        "22/udp": ["udp"],
    }
    assert [packet["verdict"] for packet in found["22/tcp"]["packets"]] == ["drop", "drop"]
    assert found["22/udp"]["packets"][0]["by"] == "unprotected"


def test_a_daemon_of_another_version(tmp_path):
    """Its program may judge differently: one sentence, exit 69."""
    with switchboard(tmp_path, hello=answers()["hello"] | {"version": "0.9"}) as board:
        done = spale("explain", "192.0.2.1", "22/tcp", "--socket", board.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert "the daemon is of version 0.9, this command of " in done.stderr


def test_without_a_daemon(tmp_path):
    """One sentence, exit 69."""
    done = spale("explain", "192.0.2.1", "22/tcp", "--socket", tmp_path / "none")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert "no daemon is running at" in done.stderr
