# SPDX-License-Identifier: MIT
"""The shared library itself: finding it, its functions' types, its errors and its chatter."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import re
import resource
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from spale_core.errors import DataplaneError, PermissionDeniedError

LIBRARIES = ("libbpf.so.1", "libbpf.so.0")
"""libbpf 1.x and, with the same functions, 0.8."""

COPIES = Path(__file__).parents[1] / "libs"
"""What a released wheel brings: libbpf and all it needs. Without this folder the system's is used."""

_FIRST_OWN_CODE = 4000
"""From here on an error is libbpf's own, not an errno (libbpf.h, enum libbpf_errno)."""

_KERNEL_WORDS = re.compile(r"^libbpf: Kernel error message: (.*)$", re.MULTILINE)

_LEVEL_WARN = 0
_MESSAGE_MAX = 1 << 16
_MEMLOCK_FREE = (5, 11)
"""Since Linux 5.11 map memory is charged to the memory cgroup, not to RLIMIT_MEMLOCK."""

_Id = POINTER(c_uint32)

_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "libbpf_strerror": (c_int, (c_int, c_char_p, c_size_t)),
    "libbpf_num_possible_cpus": (c_int, ()),
    "libbpf_version_string": (c_char_p, ()),
    "bpf_object__open_mem": (c_void_p, (c_void_p, c_size_t, c_void_p)),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__find_map_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__set_flags": (c_int, (c_void_p, c_uint32)),
    "bpf_program__type": (c_int, (c_void_p,)),
    "bpf_program__insns": (c_void_p, (c_void_p,)),
    "bpf_program__insn_cnt": (c_size_t, (c_void_p,)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_program__name": (c_char_p, (c_void_p,)),
    "bpf_obj_pin": (c_int, (c_int, c_char_p)),
    "bpf_obj_get": (c_int, (c_char_p,)),
    "bpf_map_create": (c_int, (c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p)),
    "bpf_prog_load": (c_int, (c_int, c_char_p, c_char_p, c_void_p, c_size_t, c_void_p)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, ctypes.c_uint64)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_lookup_and_delete_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_get_next_key": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_batch": (c_int, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, _Id, c_void_p)),
    "bpf_map_update_batch": (c_int, (c_int, c_void_p, c_void_p, _Id, c_void_p)),
    "bpf_map_delete_batch": (c_int, (c_int, c_void_p, _Id, c_void_p)),
    "bpf_prog_test_run_opts": (c_int, (c_int, c_void_p)),
    "bpf_prog_get_fd_by_id": (c_int, (c_uint32,)),
    "bpf_map_get_fd_by_id": (c_int, (c_uint32,)),
    "bpf_link_get_fd_by_id": (c_int, (c_uint32,)),
    "bpf_link_get_next_id": (c_int, (c_uint32, _Id)),
    "bpf_obj_get_info_by_fd": (c_int, (c_int, c_void_p, _Id)),
    "bpf_prog_attach_opts": (c_int, (c_int, c_int, c_int, c_void_p)),
    "bpf_prog_detach2": (c_int, (c_int, c_int, c_int)),
    "bpf_prog_query": (c_int, (c_int, c_int, c_uint32, _Id, _Id, _Id)),
    "bpf_tc_hook_create": (c_int, (c_void_p,)),
    "bpf_tc_hook_destroy": (c_int, (c_void_p,)),
    "bpf_tc_attach": (c_int, (c_void_p, c_void_p)),
    "bpf_tc_detach": (c_int, (c_void_p, c_void_p)),
    "bpf_tc_query": (c_int, (c_void_p, c_void_p)),
    "bpf_xdp_attach": (c_int, (c_int, c_int, c_uint32, c_void_p)),
    "bpf_xdp_detach": (c_int, (c_int, c_uint32, c_void_p)),
    "bpf_xdp_query": (c_int, (c_int, c_int, c_void_p)),
}


class LibbpfError(DataplaneError):
    """The kernel or libbpf refused something; `number` is the errno, or libbpf's own code from 4000 on."""

    def __init__(self, what: str, number: int, details: str = "") -> None:
        """Say that `what` failed with `number`; `details` are lines for below the message.

        The kernel's own words, if netlink brought some (extended acknowledgement), go into the first line.
        """
        self.what = what
        self.number = number
        self.details = details
        if number == errno.EPERM:
            self.exit_code = PermissionDeniedError.exit_code
        words = [what, describe(number), *_KERNEL_WORDS.findall(details)]
        rest = "\n".join(line for line in details.splitlines() if not _KERNEL_WORDS.fullmatch(line))
        super().__init__(": ".join(words) + (f"\n{rest}" if rest else ""))

    @property
    def first_line(self) -> str:
        """Return what failed and why, without the details."""
        return str(self).partition("\n")[0]

    def on(self, interface: str) -> LibbpfError:
        """Return the same error with the interface that it is about."""
        return LibbpfError(f"{interface}: {self.what}", self.number, self.details)


class Chatter:
    """What libbpf would have printed: collected, so that an error can quote it.

    libbpf keeps a pointer to the callback for as long as the process lives, and so does the cached
    `library()` through this object.
    """

    def __init__(self, libc: ctypes.CDLL) -> None:
        """Make the callback; libbpf calls it with a printf format and its va_list."""
        self._lines: list[str] = []
        self._format = libc.vsnprintf
        # A va_list is passed by reference on every platform that Linux runs BPF on, so a pointer fits.
        self._format.argtypes = (c_void_p, c_size_t, c_char_p, c_void_p)
        self.callback = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)(self._print)

    def _print(self, level: int, form: bytes, arguments: int) -> int:
        if level == _LEVEL_WARN:
            text = ctypes.create_string_buffer(_MESSAGE_MAX)
            self._format(text, _MESSAGE_MAX, form, arguments)
            self._lines.append(text.value.decode(errors="replace").rstrip())
        return 0

    def take(self) -> str:
        """Return the warnings since the last call, one a line."""
        taken, self._lines = self._lines, []
        return "\n".join(taken)


@functools.cache
def library() -> ctypes.CDLL:
    """Load libbpf, once. Raise DataplaneError, with what to install, if it is not there or too old."""
    own = _copies()
    for name in (*own, *LIBRARIES):
        try:
            found = ctypes.CDLL(name, use_errno=True)
        except OSError as error:
            if name in own:
                raise DataplaneError(f"spale's own libbpf cannot be loaded: {error}") from error
            continue
        return _declared(found, name)
    raise DataplaneError(
        "libbpf is not installed: apt install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora, RHEL)",
    )


def _copies() -> list[str]:
    return sorted(map(str, COPIES.glob("libbpf-*.so.*")))


def _declared(found: ctypes.CDLL, name: str) -> ctypes.CDLL:
    for function, (result, arguments) in _PROTOTYPES.items():
        try:
            symbol = getattr(found, function)
        except AttributeError as error:
            raise DataplaneError(
                f"{name} is too old: it has no {function}; install libbpf 0.8 or newer"
            ) from error
        symbol.restype = result
        symbol.argtypes = arguments
    # libbpf 0.8 returns -1 and error pointers unless told to behave like 1.0, where this does nothing.
    found.libbpf_set_strict_mode(c_int(-1))
    found.libbpf_set_print(chatter().callback)
    return found


@functools.cache
def chatter() -> Chatter:
    """Return the one collector of libbpf's messages."""
    return Chatter(ctypes.CDLL(None))


def describe(number: int) -> str:
    """Return the words for an errno or one of libbpf's own codes."""
    if number < _FIRST_OWN_CODE:
        return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    words = ctypes.create_string_buffer(256)
    library().libbpf_strerror(number, words, len(words))
    return words.value.decode(errors="replace")


def call(what: str, function: str, *arguments: object) -> int:
    """Call `function` of libbpf and return its non-negative result.

    Raise LibbpfError, which says that `what` failed, if the result is negative.
    """
    entry = getattr(library(), function)
    chatter().take()  # what is left of an earlier call that succeeded would explain nothing
    result = int(entry(*arguments))
    if result < 0:
        raise LibbpfError(what, -result, chatter().take())
    return result


def library_version() -> str:
    """Return the version of the library that is used, such as 1.1, and whether it is a wheel's.

    Raise DataplaneError if there is none.
    """
    version: bytes = library().libbpf_version_string()
    words = version.decode(errors="replace").removeprefix("v")
    return f"{words}, spale's own" if _copies() else words


def kernel_version() -> tuple[int, int]:
    """Return major and minor number of the running kernel, such as (6, 1)."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def bump_memlock() -> None:
    """Lift RLIMIT_MEMLOCK where maps are still charged to it. Raise DataplaneError if that is forbidden."""
    if kernel_version() >= _MEMLOCK_FREE:
        return
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError) as error:
        raise DataplaneError(
            f"cannot lift RLIMIT_MEMLOCK, to which this kernel charges maps: {error}",
        ) from error
