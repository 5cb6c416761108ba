# SPDX-License-Identifier: MIT
"""Real processes on the stage: the tools run to their end, the daemon and the greeter in the background."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from spale_core.errors import SpaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from spale_core.demo.stage import Namespace

_T = TypeVar("_T")
_POLL_S = 0.002
_PR_SET_PDEATHSIG = 1
_NEEDED = ("PATH", "PYTHON", "LD_", "LANG", "LC_", "TMPDIR", "HOME")


class ProcessFailedError(SpaleError):
    """A process on the stage ended, or did not do in time what it was started for."""

    def __init__(self, message: str, exit_code: int = SpaleError.exit_code) -> None:
        """Say so in `message`; `exit_code` is what our own command should end with."""
        super().__init__(message)
        self.exit_code = exit_code


def until(check: Callable[[], _T], timeout_s: float) -> _T:
    """Call `check` again and again until it is true or the time is over; return what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (result := check()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return result


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` by this interpreter; -P keeps the working folder off its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def run_tool(namespace: Namespace, module: str, *arguments: str, timeout_s: float = 10) -> str:
    """Run a command of ours to its end inside `namespace` and return what it printed.

    Raises ProcessFailedError with its words and its exit code if it fails.
    """
    with namespace.inside():
        done = subprocess.run(
            python(module, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    if done.returncode:
        message = done.stderr.strip() or f"{module} ended with {done.returncode}"
        raise ProcessFailedError(message, done.returncode)
    return done.stdout


class Background:
    """A process that runs inside a namespace until it is stopped; its stderr goes to a file."""

    def __init__(
        self, namespace: Namespace, command: Sequence[str], log: Path, *, outlive: bool = False
    ) -> None:
        """Start `command` in a session of its own, so that a terminal's Ctrl-C is ours to answer.

        Unless it may `outlive` us, the kernel kills it when we are killed.
        """
        self.log = log
        with log.open("wb") as stderr, namespace.inside():
            self._process = subprocess.Popen(
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=None if outlive else _die_with_parent,  # noqa: PLW1509 - we have one thread only
            )
        self.pid = self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 5) -> int:
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
        """Return the fields of each event `name` in the log so far that has all `fields`."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        words = [shlex.split(line) for line in lines if line.startswith(f"{name} ") and line.endswith("\n")]
        events = [dict(word.split("=", 1) for word in event[1:] if "=" in word) for event in words]
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


def _environment() -> dict[str, str]:
    """Return what a process needs of our environment: nothing in it may configure a daemon on the stage."""
    return {name: value for name, value in os.environ.items() if name.startswith(_NEEDED)}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
