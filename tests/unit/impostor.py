# SPDX-License-Identifier: MIT
"""Somebody else: what an action comes to if another user does it, in a process of its own."""

from __future__ import annotations

import json
import os

from spale_core.errors import SpaleError


def as_user(uid, groups, action):
    """Return what ``action()`` returns to the user `uid`, in `groups`, or its error's exit code and words."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups[1:])
            os.setgid(groups[0])
            os.setuid(uid)
            os.write(writer, json.dumps(_outcome(action)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(said)


def _outcome(action):
    try:
        return action()
    except SpaleError as error:
        return [error.exit_code, str(error)]
