# SPDX-License-Identifier: MIT
"""What spale-send does besides knocking: looking ahead, running a command, describing its options."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spale_core.cli import send
from spale_crypto_hpke import keys
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from pathlib import Path

SERVER, CLIENT = KeyPair.generate(), KeyPair.generate()


@pytest.fixture
def knock(tmp_path: Path) -> list[str]:
    """Return the arguments of a knock at nobody."""
    path = tmp_path / "admin.key"
    path.touch(0o600)
    path.write_bytes(
        keys.write_public(SERVER.public) + keys.write_private(CLIENT.private.private_bytes_raw())
    )
    return ["--host", "127.0.0.1", "--port", "9", "--key", str(path)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "spale_core.cli.send", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_dry_run_says_where_and_what(knock: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Target, local address, binding, wish, and no more."""
    wish = ["--services", "22/tcp,51820/udp", "--idle-sec", "60", "--bind-source", "198.51.100.7"]
    assert send.main([*knock, *wish, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out == (
        "would send 128 bytes to 127.0.0.1 port 9 from 127.0.0.1, bound to 198.51.100.7: "
        "22/tcp, 51820/udp, an idle window of 60 s\n"
    )


def test_a_dry_run_finds_what_a_knock_would(knock: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What no server would accept is a mistake here too."""
    assert send.main([*knock, "--services", "1-9/tcp", "--dry-run"]) == 65
    assert "at most 8" in capsys.readouterr().err


def test_version_1(knock: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--wire v1 makes the original's datagram, which is bound to nothing."""
    assert send.main([*knock, "--wire", "v1", "--dry-run"]) == 0
    assert "97 bytes to 127.0.0.1 port 9 from 127.0.0.1, not bound" in capsys.readouterr().out


def test_a_command_follows(knock: list[str]) -> None:
    """It is told everything behind the first --, and its exit code is ours."""
    done = run(*knock, "--", "sh", "-c", 'echo "$@"; exit 7', "sh", "-v", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (7, "-v -- x\n", "")


def test_a_command_is_told_when_nobody_reads_it(knock: list[str]) -> None:
    """Signals that Python ignores for itself are as the command expects them."""
    done = run(*knock, "--", "grep", "SigIgn", "/proc/self/status")
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & 1 << signal.SIGPIPE - 1


def test_waiting_takes_as_long_as_it_may(knock: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A source that is not there, and so nothing sent, is told at once and tried again until the end."""
    assert send.main([*knock, "--source", "203.0.113.9", "--wait", "9", "--wait-sec", "1"]) == 69
    said = capsys.readouterr().err
    assert "nothing could be sent: --source: 203.0.113.9 is no address of this host" in said
    assert "; trying again for 1 s\n" in said
    assert said.endswith(" s: 127.0.0.1: no route\n")


@pytest.mark.parametrize(("command", "code"), [("/nonexistent/command", 127), ("/", 126)])
def test_a_command_that_cannot_be_run(knock: list[str], command: str, code: int) -> None:
    """The codes of a shell, and a word why."""
    done = run(*knock, "--", command)
    assert done.returncode == code
    assert command in done.stderr


def test_every_parser_can_be_had() -> None:
    """For whoever describes the options: of spale-send itself, and of its profile commands."""
    assert [parser.prog for parser in send.parsers()] == ["spale-send", "spale-send profile"]
    for parser in send.parsers():
        assert "spale-send" in parser.format_help()
