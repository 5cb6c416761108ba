# SPDX-License-Identifier: MIT
"""Give up every privilege for good, and check that it worked (capabilities(7), prctl(2)).

Linux only. The listener calls `drop` before it reads its first datagram.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
import signal
from typing import NoReturn

from attrs import frozen

from spale_core.errors import ConfigError, PermissionDeniedError

DEFAULT_USER = "spale"
FALLBACK_USER = "nobody"

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITY_LIMIT = 64


_NOTHING_OF = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
"""No core dump, no descriptor beyond those that are open, no other process of this user."""


@frozen
class Identity:
    """Whom the listener becomes; `keep` says that it stays who it is, because we are not root."""

    uid: int
    gid: int
    keep: bool = False


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def resolve(drop_privs: str | None) -> Identity:
    """Return whom ``USER[:GROUP]`` names, by default ``spale``, else ``nobody``; raise ConfigError.

    Whoever is not root cannot become somebody else: he stays himself, and naming somebody is an error.
    """
    if os.geteuid() != 0:
        if drop_privs is not None:
            raise ConfigError("DROP_PRIVS: only root can become another user; would be right: leave it out")
        return Identity(os.getuid(), os.getgid(), keep=True)
    if drop_privs is not None:
        return _named(drop_privs)
    try:
        return _named(DEFAULT_USER)
    except ConfigError:
        return _named(FALLBACK_USER)


def drop(identity: Identity, parent_pid: int) -> None:
    """Become `identity` without capabilities and without a way back; die when `parent_pid` does.

    From then on no file can be opened, no socket made and no process started: all of that comes before.
    Raise PermissionDeniedError if the kernel refuses a step or if anything is left.
    """
    try:
        # At once, for whoever has our uid already; and once more below: a change of user clears it.
        _prctl(_PR_SET_DUMPABLE, 0)
        if not identity.keep:
            _drop_bounding_set()
            os.setgroups([])
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        _clear_capabilities()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
        for limited in _NOTHING_OF:
            resource.setrlimit(limited, (0, 0))
        # Last, because a change of credentials clears it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except OSError as error:
        raise PermissionDeniedError(f"the listener cannot drop its privileges: {error}") from error
    if os.getppid() != parent_pid:
        raise PermissionDeniedError("the monitor ended while the listener started")
    _verify(identity)


def _verify(identity: Identity) -> None:
    """Raise PermissionDeniedError unless nothing is left; believe only what the kernel answers."""
    if os.getresuid() != (identity.uid,) * 3 or os.getresgid() != (identity.gid,) * 3:
        _still("another user or group")
    if not identity.keep and os.getgroups():
        _still("supplementary groups")
    if any(_capabilities()):
        _still("capabilities")
    if not identity.keep and any(_in_bounding_set(capability) for capability in range(_CAPABILITY_LIMIT)):
        _still("a bounding set")
    if _prctl(_PR_GET_NO_NEW_PRIVS) != 1 or _prctl(_PR_GET_DUMPABLE) != 0:
        _still("ways to new ones")
    if any(resource.getrlimit(limited) != (0, 0) for limited in _NOTHING_OF):
        _still("room for core dumps, descriptors or processes")
    if not identity.keep and _can_become_root():
        _still("a way back to root")


def _still(what: str) -> NoReturn:
    raise PermissionDeniedError(f"the listener still has {what} after dropping its privileges")


def _named(text: str) -> Identity:
    user_name, _, group_name = text.partition(":")
    try:
        user = pwd.getpwnam(user_name)
        gid = grp.getgrnam(group_name).gr_gid if group_name else user.pw_gid
    except KeyError as error:
        raise ConfigError(f"DROP_PRIVS: {error.args[0]}; would be right: a user that exists") from error
    if user.pw_uid == 0 or gid == 0:
        raise ConfigError(f"DROP_PRIVS: {text!r} is root; would be right: a user without privileges")
    return Identity(user.pw_uid, gid)


def _can_become_root() -> bool:
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return False
    return True


def _drop_bounding_set() -> None:
    for capability in range(_CAPABILITY_LIMIT):
        if _in_bounding_set(capability):
            _prctl(_PR_CAPBSET_DROP, capability)


def _in_bounding_set(capability: int) -> bool:
    # Beyond the kernel's last capability the answer is EINVAL.
    return bool(_libc().prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1)


def _clear_capabilities() -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    nothing = (_CapabilityData * 2)()
    _check(_libc().capset(ctypes.byref(header), ctypes.byref(nothing)))


def _capabilities() -> tuple[int, ...]:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    _check(_libc().capget(ctypes.byref(header), ctypes.byref(data)))
    return tuple(value for half in data for value in (half.effective, half.permitted, half.inheritable))


def _prctl(option: int, argument: int = 0) -> int:
    return _check(_libc().prctl(option, argument, 0, 0, 0))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = (ctypes.c_int,) + (ctypes.c_ulong,) * 4
    return libc
