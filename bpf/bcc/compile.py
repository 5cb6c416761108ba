# SPDX-License-Identifier: MIT
"""Compile one of our sources with bcc, and print the programs' instructions: JSON, in hexadecimal, by name.

Run by the Python that the distribution made the bindings for (3.7 or newer), which knows nothing of spale:

    python3 -I -S compile FOLDER SOURCE OPTION…

FOLDER has the package `bcc`, OPTION is clang's. What bcc and clang have to say goes to standard error. The
process gives up what it may do but read, before it loads them: it needs no privilege (docs/adr/0140).
"""
# ruff: noqa: INP001 - a file that another Python runs, not a package

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

CAP_DAC_READ_SEARCH = 2
"""To read where others may not: a source tree may be in somebody's home."""
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_NO_NEW_PRIVS = 38
CPU_LIMIT_S = 60
"""Who started us ends us sooner; this is for when that process is gone."""


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


def give_up_privileges() -> None:
    """Keep the capability to read, if it is there, and write no file. Raise OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = Header(CAPABILITY_VERSION_3, 0), (Sets * 2)()
    done = [libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), libc.capget(ctypes.byref(header), sets)]
    kept = sets[0].permitted & 1 << CAP_DAC_READ_SEARCH
    sets[0], sets[1] = Sets(kept, kept, 0), Sets(0, 0, 0)
    done.append(libc.capset(ctypes.byref(header), sets))
    if any(done):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CPU: CPU_LIMIT_S}
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
    give_up_privileges()
    json.dump(compile_source(load_bindings(folder), source, list(options)), answer)
    answer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
