# SPDX-License-Identifier: MIT
"""`spale`, `spale-send` and `spale-keygen` in one executable file: by its name, or as sub-commands.

Only that file starts here (docs/adr/0134 to 0136); tools/onefile makes it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from spale_core import onefile
from spale_core.cli.command import guarded
from spale_core.errors import PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence
    from types import FrameType

NAMES: Final = {"spale-send": "send", "spale-keygen": "keygen"}
"""What the file may be called instead of spale, and the sub-command that does the same."""

SUBCOMMANDS: Final = {
    "send": "knock; what spale-send does (only in this one file)",
    "keygen": "make keys; what spale-keygen does (only in this one file)",
}
"""Commands of their own in every other installation, and what they are for."""

_OURS: Final = "spale_core."
_LEASH: Final = "spale_core.demo.leash"
_NOBODYS: Final = "0"
_WATCHDOG: Final = "WATCHDOG_PID"
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> int:
    """Run what this process's name and arguments say; return the exit code."""
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]  # noqa: PTH119 - no pathlib for a knock
    if arguments[:1] == [onefile.AS_MODULE] and arguments[1:] and arguments[1].startswith(_OURS):
        return _run_module(arguments[1:])
    return guarded("spale", _settle, arguments) or _run_command(chosen(name, arguments))


def chosen(name: str, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the module of this package that a file called `name` runs, and the arguments for it."""
    if name in NAMES:
        return NAMES[name], arguments
    if arguments and arguments[0] in SUBCOMMANDS:
        return arguments[0], arguments[1:]
    return "main", arguments


def _run_command(choice: tuple[str, Sequence[str]]) -> int:
    name, arguments = choice
    module = import_module(f"spale_core.cli.{name}")
    code: int = module.main(arguments, SUBCOMMANDS) if name == "main" else module.main(arguments)
    return code


def _run_module(words: Sequence[str]) -> int:
    """Run a module of ours as a program, for `spale demo`; return the exit code."""
    import runpy  # noqa: PLC0415 - for the demo only

    if words[:2] == [_LEASH, _NOBODYS]:
        # The process that unpacked this folder is our parent, and takes nobody else for its child.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return _run_module(words[4:])  # behind the file's own path and AS_MODULE
    sys.argv = list(words)
    if words[0] != _LEASH:  # which becomes another process of ours, by the same environment
        onefile.take_out(os.environ)
        _hold_folder()
    runpy.run_module(words[0], run_name="__main__")
    return 0


def _settle(_arguments: Sequence[str]) -> int:
    """Live with the bootloader, which is our parent; return 0. Raise SpaleError if that is not safe."""
    _end_with_parent()
    signal.signal(signal.SIGINT, _interrupt_once)
    onefile.take_out(os.environ)
    adopt_watchdog(os.environ)
    if os.geteuid() == 0:
        _refuse_strangers_folder()
    _hold_folder()
    return 0


def _end_with_parent() -> None:
    """Have the kernel kill us with the bootloader: who kills that process wants us to end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _unpacker(onefile.folder()):
        raise UnavailableError("the process that unpacked spale was killed meanwhile")


def _unpacker(folder: str) -> int:
    """Return which process has unpacked `folder`: PyInstaller calls it _MEI and that number, as %08x."""
    return int(os.path.basename(folder)[4:12], 16)  # noqa: PTH119 - no pathlib for a knock


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Take Ctrl-C, which comes twice: from the terminal, and from the bootloader that had it, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def adopt_watchdog(environment: MutableMapping[str, str]) -> None:
    """Take what systemd told the process that it started for what it tells us."""
    if environment.get(_WATCHDOG) == str(os.getppid()):
        environment[_WATCHDOG] = str(os.getpid())


def _refuse_strangers_folder() -> None:
    """Raise PermissionDeniedError if others may change what was unpacked for root: a TMPDIR of theirs."""
    from spale_core.config.files import trusted_folder  # noqa: PLC0415 - no knock of a user needs it
    from spale_core.config.mistakes import BadValueError  # noqa: PLC0415 - no knock of a user needs it

    try:
        with trusted_folder(onefile.folder()):
            return
    except BadValueError as error:
        raise PermissionDeniedError(
            f"{error}; spale was unpacked there because of TMPDIR: leave it out, or name a folder of root's"
        ) from error


def _hold_folder() -> None:
    """Keep systemd-tmpfiles from ageing what was unpacked: it leaves alone what is locked (tmpfiles.d(5))."""
    fcntl.flock(os.open(onefile.folder(), os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
