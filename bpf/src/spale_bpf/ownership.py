# SPDX-License-Identifier: MIT
"""Whose a loaded program is: told by its name (docs/adr/0044)."""

from __future__ import annotations

import errno
import os

from spale_bpf import libbpf

_OUR_NAMES = "spale"
"""What the names of our programs, and of the original's, begin with."""


def program_name(program_id: int) -> str | None:
    """Return the name of a loaded program, or None if it is gone meanwhile.

    Raise LibbpfError: EPERM without CAP_SYS_ADMIN.
    """
    try:
        descriptor = libbpf.prog_get_fd_by_id(program_id)
    except libbpf.LibbpfError as error:
        if error.number == errno.ENOENT:
            return None
        raise
    try:
        return libbpf.prog_info(descriptor).name
    finally:
        os.close(descriptor)


def is_ours(program_id: int) -> bool:
    """Return whether a loaded program is ours or the original's, by its name. Raise LibbpfError."""
    name = program_name(program_id)
    return name is not None and name.startswith(_OUR_NAMES)
