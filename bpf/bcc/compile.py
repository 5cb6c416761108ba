# SPDX-License-Identifier: MIT
"""Compile one of our sources with bcc, and print the programs' instructions: JSON, in hexadecimal, by name.

Run by the Python that the distribution made the bindings for (3.7 or newer), which knows nothing of spale:

    python3 -I -S compile FOLDER SOURCE OPTION…

FOLDER has the package `bcc`, OPTION is clang's. What bcc and clang have to say goes to standard error. The
process gives up its privileges before it loads them (docs/adr/0140), so SOURCE and the headers are named from
the folder that it is started in: the user who it becomes may not enter those above.
"""
# ruff: noqa: INP001 - a file that another Python runs, not a package

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

CAP_DAC_READ_SEARCH = 2
"""To read what its owner keeps from others: what we compile may have been unpacked so."""
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS = 4, 8, 38
NOBODY = 65534
LIMIT_S = 60
"""Who started us ends us sooner; this is for when that process is gone, or may not."""


class Header(ctypes.Structure):
    """`struct __user_cap_header_struct`."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Sets(ctypes.Structure):
    """`struct __user_cap_data_struct`."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def give_up_privileges(*needed: Path) -> None:
    """Become nobody, without capabilities; keep only what it takes to read these folders. Raise OSError.

    Where nobody may not read them, that is the capability to read, or else the user. A root who may not
    become another stays root, without capabilities; so does whoever is not root stay who he is.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = Header(CAPABILITY_VERSION_3, 0), (Sets * 2)()
    files, user = [each for folder in needed for each in (folder, *folder.rglob("*"))], os.geteuid()
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check(libc.capget(ctypes.byref(header), sets))
    permitted = sets[0].permitted & 1 << CAP_DAC_READ_SEARCH
    if user == 0:
        with suppress(OSError):  # no CAP_SETUID, or a namespace that does not have this user
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, user)
    sets[0], sets[1] = Sets(0, permitted, 0), Sets(0, 0, 0)
    check(libc.capset(ctypes.byref(header), sets))
    # Asked of the kernel, with no capability in force, and as nobody if that was possible.
    readable = are_readable(files)
    kept = 0 if readable else permitted
    if kept:
        check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    if readable or kept:
        user = os.geteuid()
    os.setresuid(user, user, user)
    # Other processes of that user must not look into this one, or change what it answers.
    check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    sets[0] = Sets(kept, kept, 0)
    check(libc.capset(ctypes.byref(header), sets))


def check(answer: int) -> None:
    """Raise OSError if a call of the C library has failed."""
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def are_readable(files: Iterable[Path]) -> bool:
    """Return whether we may open all these files and folders."""
    try:
        for each in files:
            os.close(os.open(each, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def limit_ourselves() -> None:
    """Write nothing into files, leave no core, and end."""
    signal.alarm(LIMIT_S)
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CPU: LIMIT_S}
    for limit, most in limits.items():
        with suppress(OSError):  # a service may not be allowed to limit itself
            resource.setrlimit(limit, (most, most))


def load_bindings(folder: str) -> ModuleType:
    """Return the package `bcc` of `folder`, and of nowhere else: PyPI has another one of that name."""
    sys.path.append(folder)  # where -I and -S have left nothing but the standard library
    return importlib.import_module("bcc")


def compile_source(bcc: ModuleType, source: str, options: list[str]) -> dict[str, str]:
    """Return the instructions of each function of `source` that is not static; raise what bcc does."""
    compiled = bcc.BPF(text=Path(source).read_bytes(), cflags=options)
    count = bcc.lib.bpf_num_functions(compiled.module)
    names = [bcc.lib.bpf_function_name(compiled.module, number) for number in range(count)]
    return {name.decode(): compiled.dump_func(name).hex() for name in names}


def main(folder: str, source: str, *options: str) -> None:
    """Compile `source`. Whatever bcc prints, it does not print into the answer."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    give_up_privileges(Path(source).parent, Path(folder, "bcc"))
    limit_ourselves()
    json.dump(compile_source(load_bindings(folder), source, list(options)), answer)
    answer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
