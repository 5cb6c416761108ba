# SPDX-License-Identifier: MIT
"""What the kernel's refusals mean to an operator."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from spale_bpf import libbpf
from spale_bpf.ownership import describe, is_known_as_ours
from spale_bpf.programs import program_ids

if TYPE_CHECKING:
    from spale_bpf.interface import Interface


def explained(error: libbpf.LibbpfError, interface: Interface) -> libbpf.LibbpfError:
    """Return the error with its interface and, if one of ours hangs there by a bpf_link, what to do."""
    if error.number != errno.EBUSY:
        return error.on(interface.name)
    ours = filter(is_known_as_ours, program_ids(interface))
    advice = [text for text in map(by_link, ours) if text]
    what = f"{interface.name}: {'; '.join((error.what, *advice))}"
    return libbpf.LibbpfError(what, error.number, error.details)


def by_link(program_id: int) -> str:
    """Return, for a program that hangs by a bpf_link, how to take it off; else nothing."""
    links = libbpf.links_of(program_id)
    if not links:
        return ""
    commands = ", ".join(f"bpftool link detach id {link}" for link in links)
    return (
        f"{describe(program_id)} hangs by a bpf_link, which only its owner can replace:"
        f" end the process that holds it, or {commands}"
    )
