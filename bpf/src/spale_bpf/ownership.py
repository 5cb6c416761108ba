# SPDX-License-Identifier: MIT
"""Whose a loaded program is: told by its name (docs/adr/0044)."""

from __future__ import annotations

import errno
import os

from spale_bpf import libbpf

_OUR_NAMES = "spale"
"""What the names of our programs, and of the original's, begin with."""

_NOT_TOLD = (
    "whose program that is, the kernel tells only with CAP_SYS_ADMIN: start once with it,"
    " or run `spale detach` as root, which opens the ports"
)


def program_name(program_id: int) -> str | None:
    """Return the name of a loaded program, or None if it is gone meanwhile.

    Raise LibbpfError: EPERM without CAP_SYS_ADMIN, with what to do then.
    """
    try:
        descriptor = libbpf.prog_get_fd_by_id(program_id)
    except libbpf.LibbpfError as error:
        if error.number == errno.ENOENT:
            return None
        if error.number == errno.EPERM:
            raise libbpf.LibbpfError(error.what, error.number, _NOT_TOLD) from None
        raise
    try:
        return libbpf.prog_info(descriptor).name
    finally:
        os.close(descriptor)


def describe(program_id: int) -> str:
    """Return a program's name, where the kernel tells it to us, and id, for the log. Raise nothing."""
    try:
        name = program_name(program_id)
    except libbpf.LibbpfError:
        name = None
    return f"{name} (program {program_id})" if name else f"program {program_id}"


def is_ours(program_id: int) -> bool:
    """Return whether a loaded program is ours or the original's, by its name. Raise LibbpfError."""
    name = program_name(program_id)
    return name is not None and name.startswith(_OUR_NAMES)


def is_known_as_ours(program_id: int) -> bool:
    """Return whether a loaded program is ours, no if the kernel does not tell its name. Raise nothing."""
    try:
        return is_ours(program_id)
    except libbpf.LibbpfError:
        return False
