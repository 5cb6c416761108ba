# SPDX-License-Identifier: MIT
"""A network namespace to try things in, gone when the trial is over."""

from __future__ import annotations

import ctypes
import errno
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from spale_bpf.libbpf import LibbpfError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

LOOPBACK = "lo"
"""The only interface there."""

_CLONE_NEWNET = 0x40000000


def in_new_namespace(trial: Callable[[], Result]) -> Result:
    """Return what ``trial()`` does, run by a thread in an empty network namespace of its own.

    Raise LibbpfError (EPERM without CAP_SYS_ADMIN) if there is no such namespace, and whatever the trial
    raises.
    """
    # A namespace belongs to threads: this one takes it away with it.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(_run, trial).result()


def _run(trial: Callable[[], Result]) -> Result:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise LibbpfError("network namespace for a trial", ctypes.get_errno() or errno.EPERM)
    return trial()
