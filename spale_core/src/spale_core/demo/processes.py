# SPDX-License-Identifier: MIT
"""Real processes on the stage: the tools run to their end, the daemon and the greeter in the background."""

from __future__ import annotations

import functools
import os
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from spale_core import onefile
from spale_core.demo import leash as leash_program
from spale_core.demo.poll import until
from spale_core.errors import SpaleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spale_core.demo.stage import Namespace

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NEEDED = ("PATH", "PYTHON", "LD_", "LANG", "LC_", "TMPDIR", "HOME")


class ProcessFailedError(SpaleError):
    """A process on the stage ended, or did not do in time what it was started for."""

    def __init__(self, message: str, exit_code: int = SpaleError.exit_code) -> None:
        """Say so in `message`; `exit_code` is what our own command should end with."""
        super().__init__(message)
        self.exit_code = exit_code


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` by what runs us; -P keeps the working folder off its path."""
    by_name = (onefile.AS_MODULE,) if onefile.is_one() else ("-P", "-m")
    return [sys.executable, *by_name, module, *arguments]


def run_tool(namespace: Namespace, module: str, *arguments: str, timeout_s: float = 30) -> str:
    """Run a command of ours to its end inside `namespace` and return what it printed.

    Raises ProcessFailedError with its words and its exit code if it fails or takes longer than `timeout_s`.
    """
    with _started(namespace, python(module, *arguments), subprocess.PIPE, subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessFailedError(f"{module} did not end within {timeout_s} s") from None
    if process.returncode:
        message = errors.decode(errors="replace").strip() or f"{module} ended with {process.returncode}"
        raise ProcessFailedError(message, process.returncode)
    return output.decode(errors="replace")


class Background:
    """A process that runs inside a namespace until it is stopped; what it says goes to a file."""

    def __init__(
        self, namespace: Namespace, command: Sequence[str], log: Path, *, outlive: bool = False
    ) -> None:
        """Start `command`, an absolute path and arguments; unless it may `outlive` us, it ends with us."""
        self.log = log
        with log.open("wb") as words, _started(namespace, command, words, words, outlive=outlive) as process:
            self._process = process
        self.pid = process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 15) -> int:
        """Send a signal, wait for the end and return the exit code; kill what does not end in time."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ProcessFailedError(f"process {self.pid} did not end within {timeout_s} s") from None


class Daemon(Background):
    """A real ``spale run``; its log lines are read as events."""

    def __init__(self, namespace: Namespace, log: Path, *options: str, outlive: bool = False) -> None:
        """Start it with `options` in the background; `wait_for("ready")` waits until it is."""
        super().__init__(namespace, python("spale_core.cli.main", "run", *options), log, outlive=outlive)

    def events(self, name: str, **fields: str) -> list[dict[str, str]]:
        """Return the fields, without the time, of each event `name` so far that has all `fields`."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        named = [line for line in lines if line.startswith(f"{name} ") and line.endswith("\n")]
        events = [dict(_pairs(line)) for line in named]
        return [event for event in events if fields.items() <= event.items()]

    def wait_for(self, name: str, *, timeout_s: float = 5, **fields: str) -> dict[str, str]:
        """Return the first such event, waiting for it up to `timeout_s`.

        Raises ProcessFailedError with the daemon's own words if it ends or stays silent.
        """
        until(lambda: self.events(name, **fields) or self.exit_code is not None, timeout_s)
        events = self.events(name, **fields)
        if events:
            return events[0]
        said = self.log.read_text(errors="replace").strip()
        if self.exit_code is None:
            wanted = " ".join([name, *(f"{key}={value}" for key, value in fields.items())])
            raise ProcessFailedError(f"the daemon did not say {wanted!r} within {timeout_s} s:\n{said}")
        raise ProcessFailedError(said or "the daemon ended without a word", max(self.exit_code, 1))


@functools.cache
def _pairs(line: str) -> list[tuple[str, str]]:
    """Return what a line of the log says, but for its time; a log is read again and again."""
    pairs = [word.partition("=") for word in shlex.split(line)[1:]]
    return [(key, value) for key, equals, value in pairs if equals and key != "time"]


def _environment(*, outlive: bool) -> dict[str, str]:
    """Return what a process needs of our environment: nothing in it may configure a daemon on the stage."""
    needed = {name: value for name, value in os.environ.items() if name.startswith(_NEEDED)}
    return needed if outlive else needed | onefile.environment_of_ours()


def _leash(parent: int) -> list[str]:
    """Return the command that runs another one, behind it, in the same process; see `leash`."""
    if onefile.is_one():
        return python(leash_program.__name__, str(parent))
    return [sys.executable, "-I", "-S", str(Path(leash_program.__file__)), str(parent)]


@contextmanager
def _started(
    namespace: Namespace,
    command: Sequence[str],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    *,
    outlive: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a session of its own, so that a terminal's Ctrl-C is ours to answer.

    An exception in the body ends it. Signals wait while it is started: none of them can make us lose it.
    """
    process = None
    leash = _leash(0 if outlive else os.getpid())
    try:
        with namespace.inside(), signals_wait():
            process = subprocess.Popen(
                [*leash, *command],
                env=_environment(outlive=outlive),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        yield process
    except BaseException:
        if process is not None:
            process.kill()
            process.communicate()
        raise


@contextmanager
def signals_wait() -> Iterator[None]:
    """Hold the signals that end a command back while something is made that must not be made by half."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
