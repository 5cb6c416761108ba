# SPDX-License-Identifier: MIT
"""Standard streams that are closed, full, or read by nobody: one sentence at most, and our exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from spale_crypto_hpke import keys
from spale_crypto_hpke.suite import KeyPair

if TYPE_CHECKING:
    from pathlib import Path

MODULES: Final = {"spale": "main", "spale-send": "send", "spale-keygen": "keygen"}
FULL: Final = "standard output: No space left on device\n"
HELP: Final = [(prog, "--help") for prog in MODULES]
PRINTING: Final = [*HELP, *((prog, "--version") for prog in MODULES), ("spale", "plugins")]


def run(redirection: str, prog: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does with a redirection such as ``>&-``."""
    started = [sys.executable, "-m", f"spale_core.cli.{MODULES[prog]}", *map(str, words)]
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *started],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a key file to knock with."""
    path, own, server = tmp_path / "admin.key", KeyPair.generate(), KeyPair.generate()
    path.touch(0o600)
    path.write_bytes(keys.write_public(server.public) + keys.write_private(own.private.private_bytes_raw()))
    return path


@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk(words: tuple[str, ...]) -> None:
    """One sentence, exit 74."""
    done = run(">/dev/full", *words)
    assert (done.returncode, done.stderr) == (74, f"{words[0]}: {FULL}")


@pytest.mark.parametrize("words", PRINTING)
def test_nobody_reads(words: tuple[str, ...]) -> None:
    """No word, and what a shell says of a command that SIGPIPE ended."""
    started = [sys.executable, "-m", f"spale_core.cli.{MODULES[words[0]]}", *words[1:]]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 141)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, bundle: Path) -> None:
    """Nobody sees the words; all else is as usual."""
    for words in (*HELP, ("spale", "--version"), ("spale-keygen", "show", bundle)):
        done = run(closed, *words)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("gone", ["2>/dev/full", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("prog", MODULES)
def test_an_error_that_nobody_is_told(gone: str, prog: str) -> None:
    """The exit code still says it."""
    done = run(gone, prog, "--nonsense")
    assert (done.returncode, done.stdout, done.stderr) == (64, "", "")


def test_a_dry_run_on_a_full_disk(bundle: Path) -> None:
    """A dry run on a full disk says so; one whose warnings are lost has done what was asked."""
    knock = ("--host", "127.0.0.1", "--port", "9", "--key", bundle, "--dry-run")
    done = run(">/dev/full", "spale-send", *knock)
    assert (done.returncode, done.stderr) == (74, f"spale-send: {FULL}")
    assert run("2>/dev/full", "spale-send", *knock, "-v").returncode == 0


def test_what_is_too_much_for_a_buffer(tmp_path: Path) -> None:
    """Also if a piece is lost before the end, where nothing is left to write."""
    program = "import sys; from spale_core.cli.command import guarded\n"
    program += "sys.exit(guarded('x', lambda _: sys.stdout.write('y' * 99999) and 0, []))"
    with (tmp_path / "err").open("w+") as told:
        command = ["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-c", program]
        assert subprocess.call(command, stderr=told, timeout=60) == 74
        told.seek(0)
        assert told.read() == f"x: {FULL}"


@pytest.mark.parametrize(("closed", "passed"), [("<&-", "hello"), (">&-", ""), ("<&- >&- 2>&-", "")])
def test_a_relay_without_streams(closed: str, passed: str, bundle: Path) -> None:
    """Its input has ended, its output goes nowhere; the server's end is its end."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        server.settimeout(60)
        greeted = pool.submit(_greet, server)
        knock = ("--host", "127.0.0.1", "--port", "9", "--key", bundle)
        done = run(closed, "spale-send", *knock, "--connect", "127.0.0.1", server.getsockname()[1])
        greeted.result(60)
    assert (done.returncode, done.stdout, done.stderr) == (0, passed, "")


def _greet(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(b"hello")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_command_finds_closed_what_was_closed(number: int, bundle: Path, tmp_path: Path) -> None:
    """Behind ``--``, as if we had not been there."""
    look = f'[ -e /proc/$$/fd/{number} ]; echo $? >"$0"'
    knock = ("--host", "127.0.0.1", "--port", "9", "--key", bundle)
    done = run(f"{number}>&-", "spale-send", *knock, "--", "sh", "-c", look, tmp_path / "seen")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "seen").read_text() == "1\n"


def test_files_of_ours_get_no_standard_number() -> None:
    """While a command runs, descriptors 0 to 2 are there and close at exec; the streams can be used."""
    program = "import os, sys; from spale_core.cli.command import guarded\n"
    program += "def run(arguments):\n"
    program += " links = {os.readlink(f'/proc/self/fd/{each}') for each in range(3)}\n"
    program += " usable = sys.stdin.read() == '' and not sys.stdin.isatty() and sys.stderr.write('x') == 1\n"
    program += " kept = any(map(os.get_inheritable, range(3)))\n"
    program += " return 7 if links == {os.devnull} and usable and not kept else 1\n"
    program += "sys.exit(guarded('x', run, []))"
    command = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program]
    assert subprocess.call(command, timeout=60) == 7
