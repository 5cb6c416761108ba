# SPDX-License-Identifier: MIT
"""A process under the filter of `spale_core.seccomp`, and what it can still do."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from contextlib import suppress

from demanded import lacking

from spale_core import seccomp

REFUSED = (
    *("open", "openat", "openat2", "creat", "stat", "newfstatat", "unlink", "rename", "chmod", "mount"),
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg"),
    *("execve", "execveat", "fork", "vfork", "clone", "clone3", "kill", "tkill", "tgkill", "pidfd_open"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "perf_event_open"),
    *("bpf", "io_uring_setup", "userfaultfd", "keyctl", "add_key", "init_module", "finit_module"),
    *("setuid", "setresuid", "setgid", "setgroups", "capset", "prctl", "seccomp", "setrlimit", "prlimit64"),
    *("unshare", "setns", "chroot", "pivot_root", "dup", "dup2", "pipe2", "fcntl", "ioctl", "mprotect"),
    *("memfd_create", "settimeofday", "clock_settime", "reboot", "swapon", "personality", "arch_prctl"),
)
"""Nothing of this is left, and much else is not; what a machine does not know is left out."""


def filtered():
    """Return the filter; skip the test where there is none."""
    try:
        return seccomp.prepare()
    except seccomp.NoFilterError as error:
        lacking(str(error))


def confined(action):
    """Return what ``action()`` returns in a process under the filter, or the name of its error."""
    calls = filtered()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            calls.admit_log()
            calls.load()
            os.write(writer, json.dumps(_outcome(action)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert said, f"it ended with {status}"
    return json.loads(said)


def numbers():
    """Return the number of each call of `REFUSED` that this machine has."""
    filtered()
    import pyseccomp as binding  # noqa: PLC0415 - it may be missing

    found = {name: binding.resolve_syscall(binding.Arch.NATIVE, name) for name in REFUSED}
    return {name: number for name, number in found.items() if number >= 0}


def tried(calls):
    """Return the error of each of `calls`, made without a sensible argument; 0 if there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    answers = {}
    for name, number in calls.items():
        ctypes.set_errno(0)
        answers[name] = ctypes.get_errno() if libc.syscall(number, *[-1] * 6) == -1 else 0
    return answers


def _outcome(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode[error.errno]
