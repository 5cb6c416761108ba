# SPDX-License-Identifier: MIT
"""``spale demo``: the whole story in a few seconds, in network namespaces of its own."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType

    from spale_core.demo.story import Story

_INTRODUCTION = (
    "A server and a client in two network namespaces of their own; nothing else on this host is touched.\n\n"
)


class _Interrupted(BaseException):
    """A signal that ends the demo; not an Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``demo`` to the commands of ``spale``."""
    parser = subparsers.add_parser(
        "demo",
        help="show the whole story in two network namespaces (as root)",
        description="Show a port that is silent to everybody and opens to the one who knocked. Takes a few "
        "seconds, needs root, and touches none of this host's interfaces.",
    )
    parser.add_argument("--dataplane", metavar="NAME", help="the enforcer to use (default: that of `run`)")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave daemon and namespaces for a look, and say how to remove them",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play the story; return 0, or 128 + the signal that ended it.

    Raises SpaleError when something is missing or is not seen as it should be.
    """
    _require_linux_and_root()
    try:
        with _signals_interrupt():
            _play(arguments.dataplane, keep=arguments.keep)
    except _Interrupted as interrupted:
        sys.stderr.write("spale: interrupted; everything is cleaned up\n")
        return 128 + interrupted.number
    return 0


def _require_linux_and_root() -> None:
    if sys.platform != "linux":
        raise UnavailableError("the demo needs Linux: its network namespaces and its eBPF")
    if os.geteuid() != 0:
        raise PermissionDeniedError(
            "the demo needs root to make network namespaces and to load a program; use sudo"
        )
    try:
        importlib.import_module("pyroute2")
    except ImportError:
        raise UnavailableError("the demo needs pyroute2; pip install 'spale-core[demo]'") from None


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Turn the signals that end a command into an exception, once; the clean-up is not interrupted."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise _Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _play(dataplane: str | None, *, keep: bool) -> None:
    # Imported late: the other commands must not pay for pyroute2.
    from spale_core.demo.processes import signals_wait  # noqa: PLC0415 - see above
    from spale_core.demo.stage import Stage  # noqa: PLC0415 - see above
    from spale_core.demo.story import Narrator, Story  # noqa: PLC0415 - see above

    folder = Path(tempfile.mkdtemp(prefix="spale-demo-"))
    kept = False
    try:
        with signals_wait():
            stage = Stage()
        with stage:
            sys.stdout.write(_INTRODUCTION)
            story = Story(stage, folder, dataplane, Narrator(sys.stdout), outlive=keep)
            try:
                story.tell()
                if keep:
                    _keep(story)
                    kept = True
                else:
                    story.end()
            finally:
                if not kept:
                    story.close()
    finally:
        if not kept:
            shutil.rmtree(folder)


def _keep(story: Story) -> None:
    server, client = (f"spale-demo-{os.getpid()}-{role}" for role in ("server", "client"))
    story.stage.server.keep_as(server)
    story.stage.client.keep_as(client)
    sys.stdout.write(
        f"\nKept: the namespaces {server} and {client}, the keys and the log in {story.folder}.\n"
        f"Look with:   ip netns exec {server} tail {story.folder}/daemon.log\n"
        f"Remove with: ip netns pids {server} | xargs kill -9; ip netns del {server}; ip netns del {client}; "
        f"rm -r {story.folder}\n"
    )
