# SPDX-License-Identifier: MIT
"""The system calls that are left to the listener (docs/adr/0100-what-the-listener-may-call.md).

Linux only, and only where libseccomp and its binding `pyseccomp` are. The only module that knows them.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import socket
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spale_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNKNOWN: Final = -1
"""What libseccomp answers for a call that it has not heard of."""

WARNING: Final = "the listener runs without a filter of its system calls; `spale doctor` says what mends that"
"""Said where there is none: it is no reason not to run."""

_COUNT: Final = re.compile(r"^Seccomp_filters:\s*(\d+)$", re.MULTILINE)
"""How many filters a process is under, one within the other (proc(5), Linux 5.9)."""
_MODE: Final = re.compile(r"^Seccomp:\s*(\d)$", re.MULTILINE)
_FILTERED: Final = 2  # SECCOMP_MODE_FILTER

_DESCRIPTORS: Final = "/proc/self/fd"
_SEND_FROM, _SEND_TO, _MAP_PROTECTION = 0, 4, 2
"""Which argument, counted from 0, of sendto(2), sendto(2) and mmap(2)."""

_ALWAYS: Final = (
    # Knocks, and the loop that waits for them.
    *("recvmsg", "epoll_wait", "epoll_pwait", "epoll_ctl", "read", "close"),
    # Lines of the log; to the sockets of the knocks, which are not connected, nothing can be written.
    *("write", "send", "poll", "ppoll"),
    # Time, on 32 bits too.
    *("clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time"),
    *("timerfd_settime", "timerfd_settime64"),
    # Memory, but none that can be executed: see `_add_rules`.
    *("brk", "munmap", "mremap", "madvise", "futex", "futex_time64", "sched_yield"),
    # Randomness, who we are, what a signal interrupts, and the end.
    *("getrandom", "getpid", "gettid", "rt_sigreturn", "sigreturn", "restart_syscall", "exit", "exit_group"),
)


class NoFilterError(UnavailableError):
    """No filter can be had here; `remedy` is the command that mends it, None if there is none."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        """Say why in `message`."""
        super().__init__(message)
        self.remedy = remedy


@frozen
class Filter:
    """A filter that was made, and is in force from `load` on, for good."""

    _binding: Any
    _made: Any

    def admit_log(self) -> None:
        """Let the datagram sockets of the Unix family that are open now, a log's, name whom they send to.

        To be called while files can still be opened; raise NoFilterError.
        """
        try:
            for descriptor in _local_sockets():
                from_it = self._binding.Arg(_SEND_FROM, self._binding.EQ, descriptor)
                _allow(self._binding, self._made, "sendto", from_it)
        except OSError as error:
            raise NoFilterError(f"the log's sockets cannot be found: {error.strerror}") from error

    def load(self) -> None:
        """Have every other call fail with EPERM from now on; raise NoFilterError, with nothing changed."""
        try:
            self._made.load()
        except OSError as error:
            raise NoFilterError(f"the kernel takes no seccomp filter: {error.strerror}") from error


def prepare() -> Filter:
    """Return a filter for this machine's own architecture; raise NoFilterError.

    Looking for libseccomp starts programs (ldconfig): do it before there is a secret in this process.
    """
    binding = _binding()
    try:
        refused = binding.ERRNO(errno.EPERM)
        made = binding.SyscallFilter(refused)
        # The calls of other architectures that this kernel knows too: 32 bits, x32.
        made.set_attr(binding.Attr.ACT_BADARCH, refused)
        _add_rules(binding, made)
    except OSError as error:
        raise NoFilterError(f"libseccomp cannot make the filter: {error.strerror}") from error
    return Filter(binding, made)


def is_on(pid: int) -> bool | None:
    """Tell whether the listener `pid` is under a filter; None if `pid` is 0: there is none."""
    if not pid:
        return None
    try:
        its, ours = _status(str(pid)), _status("self")
    except OSError:
        # Others' processes may be hidden (proc(5), hidepid; systemd's ProtectProc): what it can have, it has.
        return _is_available()
    if _COUNT.search(its):
        # One that both are under is somebody else's: a container's, or the unit's.
        return _number(_COUNT, its) > _number(_COUNT, ours)
    return _number(_MODE, its) == _FILTERED


def _status(process: str) -> str:
    return Path("/proc", process, "status").read_text(encoding="ascii", errors="replace")


def _number(line: re.Pattern[str], status: str) -> int:
    found = line.search(status)
    return int(found[1]) if found else 0


@cache
def _is_available() -> bool:
    try:
        prepare()
    except NoFilterError:
        return False
    return True


def _binding() -> Any:  # noqa: ANN401 - pyseccomp is not typed
    """Return the module that binds libseccomp; raise NoFilterError."""
    try:
        import pyseccomp  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types, and may be missing
    except ImportError as error:
        raise NoFilterError("pyseccomp is not installed", "pip install pyseccomp") from error
    except (RuntimeError, OSError, AttributeError) as error:
        # What it raises without libseccomp, or with one that is older than it knows.
        raise NoFilterError(f"libseccomp cannot be loaded: {error}", "apt install libseccomp2") from error
    return pyseccomp


def _add_rules(binding: Any, made: Any) -> None:  # noqa: ANN401 - see `_binding`
    """Allow what the listener does; raise OSError."""
    for name in _ALWAYS:
        _allow(binding, made, name)
    # Without an address: through sockets that are connected. Those of the knocks are not, so nothing leaves
    # them.
    _allow(binding, made, "sendto", binding.Arg(_SEND_TO, binding.EQ, 0))
    for name in ("mmap", "mmap2"):
        _allow(binding, made, name, binding.Arg(_MAP_PROTECTION, binding.MASKED_EQ, mmap.PROT_EXEC, 0))


def _allow(binding: Any, made: Any, name: str, *arguments: Any) -> None:  # noqa: ANN401 - see `_binding`
    """Allow the call `name` where `arguments` are so; one that libseccomp has not heard of nobody makes."""
    number = binding.resolve_syscall(binding.Arch.NATIVE, name)
    if number != _UNKNOWN:
        made.add_rule(binding.ALLOW, number, *arguments)


def _local_sockets() -> Iterator[int]:
    """Yield the open sockets that send datagrams to paths; raise OSError."""
    for descriptor in map(int, os.listdir(_DESCRIPTORS)):  # noqa: PTH208 - names only
        if not _is_socket(descriptor):
            continue
        with socket.socket(fileno=os.dup(descriptor)) as each:
            if (each.family, each.type) == (socket.AF_UNIX, socket.SOCK_DGRAM):
                yield descriptor


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        # The one by which the folder was read.
        return False
