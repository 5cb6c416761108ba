# SPDX-License-Identifier: MIT
"""The server's private key: who has it, and who can get at it (docs/privsep.md)."""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path

import pytest
from house import LOG_S
from prying import WAYS, memory_has, ordinary_process, pry

from spale_core.demo.poll import until

RELOADS = 2


def test_its_own_user_cannot_look_into_the_listener(tc_house):
    """Neither memory nor environment nor by ptrace, where the same user can do that to any other process."""
    listener = int(tc_house.guard()["listener_pid"])
    uid = Path(f"/proc/{listener}").stat().st_uid
    assert uid
    with ordinary_process(uid) as pid:
        met = pry(uid, pid)
        if met["environ"] != "in":
            pytest.skip(f"here nobody can look into any process: {met}")
    assert set(pry(uid, listener).values()) <= {"EACCES", "EPERM"}
    assert len(WAYS) == len(met)


def test_the_key_is_in_the_listener_alone(tc_house):
    """Neither process was started with it; the monitor, who has the file looked at, has nothing of it."""
    ready = tc_house.guard()
    needles = _needles(tc_house.config["SERVER_KEY"].read_bytes())
    assert "raw" in memory_has(ready["listener_pid"], needles)
    for pid in (ready["pid"], ready["listener_pid"]):
        for name in ("cmdline", "environ"):
            said = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not [name for name, needle in needles.items() if needle in said]
    assert memory_has(ready["pid"], needles) == set()
    for count in range(1, RELOADS + 1):
        os.kill(int(ready["pid"]), signal.SIGHUP)
        assert until(lambda count=count: len(tc_house.daemon.events("reload")) == count, LOG_S)
        assert memory_has(ready["pid"], needles) == set()


def _needles(pem):
    """Return what would give a private key away: its bytes, halves of them, and what the file has."""
    text = b"".join(pem.splitlines()[1:-1])
    raw = base64.b64decode(text)[-32:]
    return {"raw": raw, "first half": raw[:16], "second half": raw[16:], "text": text[24:56]}
