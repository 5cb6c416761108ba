# SPDX-License-Identifier: MIT
"""Run a program that is not trusted to print little, and keep what it prints."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PRINTED_MAX: Final = 1 << 20
"""How many bytes a program may print to each of its outputs."""

_PIECE: Final = 1 << 16


@frozen
class Printed:
    """What a program printed until it ended, or (`is_cut`) until it was ended for that."""

    status: int
    output: bytes
    errors: bytes
    is_cut: bool


def run_bounded(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], limit_s: float
) -> Printed:
    """Run `command` in a session of its own: what a terminal sends to us all is not meant for it.

    Raise OSError if it cannot be started, subprocess.TimeoutExpired if it does not end within `limit_s`.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=env,
        start_new_session=True,
    ) as process:
        deadline_s = time.monotonic() + limit_s
        try:
            output, errors = _read(process, deadline_s)
            is_cut = max(len(output), len(errors)) > PRINTED_MAX
            if is_cut:
                process.kill()
            status = process.wait(max(0.0, deadline_s - time.monotonic()))
        except BaseException:
            with suppress(PermissionError):  # a root without CAP_KILL: it ends by itself
                process.kill()
            raise
    return Printed(status, output, errors, is_cut)


def _read(process: subprocess.Popen[bytes], deadline_s: float) -> tuple[bytes, bytes]:
    """Return what it prints to both, up to a piece more than it may. Raise subprocess.TimeoutExpired."""
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, text in ((process.stdout, output), (process.stderr, errors)):
            if stream:  # both are there, as far as types know they may not be
                selector.register(stream, selectors.EVENT_READ, text)
        while selector.get_map():
            left_s = deadline_s - time.monotonic()
            ready = selector.select(left_s)
            if not ready:
                raise subprocess.TimeoutExpired(process.args, left_s)
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE)
                key.data.extend(piece)
                if not piece:
                    selector.unregister(key.fileobj)
                if len(key.data) > PRINTED_MAX:
                    return bytes(output), bytes(errors)
    return bytes(output), bytes(errors)
