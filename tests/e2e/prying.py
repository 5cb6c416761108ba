# SPDX-License-Identifier: MIT
"""What a process can find out about another one, and whether it may use BPF; for any user."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from evil import ARRAY, BPF, PTRACE_SEIZE
from impostor import as_user

EVERYBODY_MAY_USE_BPF = Path("/proc/sys/kernel/unprivileged_bpf_disabled")
"""Where this says 0, any user may make a map."""

WAYS = ("environ", "mem", "maps", "ptrace", "process_vm_readv")


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def pry(uid, pid):
    """Return what the user `uid` meets on each of `WAYS` into the process `pid`: an error, or ``in``."""
    return as_user(uid, [uid], lambda: {way: _attempt(way, pid) for way in WAYS})


def map_error(uid):
    """Return the error's name when the user `uid` makes a BPF map, ``in`` if he can."""
    return as_user(
        uid, [uid], lambda: _name(lambda: call("syscall", BPF[os.uname().machine], 0, ARRAY, len(ARRAY)))
    )


def call(name, *arguments):
    """Call a function of the C library; raise OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = getattr(libc, name)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def _attempt(way, pid):
    match way:
        case "ptrace":
            return _name(lambda: call("ptrace", PTRACE_SEIZE, pid, None, None))
        case "process_vm_readv":
            here = ctypes.create_string_buffer(8)
            local, remote = _Vector(ctypes.addressof(here), 8), _Vector(ctypes.addressof(here), 8)
            pointers = map(ctypes.byref, (local, remote))
            return _name(lambda: call("process_vm_readv", pid, next(pointers), 1, next(pointers), 1, 0))
        case _:
            return _name(lambda: os.close(os.open(f"/proc/{pid}/{way}", os.O_RDONLY)))


def _name(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "in"


@contextmanager
def ordinary_process(uid):
    """Yield the number of a process of the user that hides nothing."""
    sleeper = subprocess.Popen([shutil.which("sleep"), "60"], user=uid, group=uid)
    try:
        yield sleeper.pid
    finally:
        sleeper.kill()
        sleeper.wait()


def memory_has(pid, needles):
    """Return which of `needles` are somewhere in the memory of the process, by name."""
    found = set()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for begin, end in re.findall(r"^(\w+)-(\w+) r", maps.read(), re.MULTILINE):
            try:
                memory.seek(int(begin, 16))
                content = memory.read(int(end, 16) - int(begin, 16))
            except (OSError, ValueError, OverflowError):  # what is the kernel's own there
                continue
            found |= {name for name, needle in needles.items() if needle in content}
    return found
