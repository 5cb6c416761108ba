# SPDX-License-Identifier: MIT
"""Starts that must not succeed: nothing is attached, a sentence says why, the exit code says of what kind."""

from __future__ import annotations

import os
import signal

import pytest
from house import START_S

from spale_core.demo.processes import ProcessFailedError, run_tool

WRONG = {
    "PROTECTED_PORTS": "",
    "IFACE": "nonesuch0",
    "LISTEN_PORT": 22,
    "CLIENTS_DIR": "/nonesuch",
    "NO_SUCH_KEY": 1,
    "MAX_SKEW_SEC": 121,
}


def _refused(house, changes):
    """Start with `changes`; return the exit code and what was said."""
    daemon = house.start(**changes)
    with pytest.raises(ProcessFailedError) as failed:
        daemon.wait_for("ready", timeout_s=START_S)
    assert not daemon.events("attach")
    assert house.all_open(house.guests())
    return failed.value.exit_code, str(failed.value)


@pytest.mark.parametrize("key", WRONG)
def test_mistakes(tc_house, key):
    """A mistake in the configuration is named with its file, line and key, exit 78."""
    code, said = _refused(tc_house, {key: WRONG[key]})
    assert code == os.EX_CONFIG
    assert f": {key}: " in said
    assert ".conf:" in said


def test_all_mistakes_at_once(tc_house):
    """Of several mistakes every one is named, not only the first."""
    together = {key: value for key, value in WRONG.items() if key != "PROTECTED_PORTS"}
    _, said = _refused(tc_house, together)
    assert [key for key in together if f": {key}: " not in said] == []


@pytest.mark.parametrize("command", ["watch", "metrics", "new-plugin"])
def test_not_yet_commands(tc_house, command):
    """A command that a later version brings ends with exit 78 and "not yet"."""
    with pytest.raises(ProcessFailedError) as failed:
        run_tool(tc_house.stage.server, "spale_core.cli.main", command)
    assert failed.value.exit_code == os.EX_CONFIG
    assert "not yet" in str(failed.value)


def test_a_second_daemon_does_not_disturb_the_first(tc_house):
    """A start while a daemon runs fails, for the port is taken, and leaves the first one at work."""
    tc_house.guard()
    first = tc_house.daemon
    second = tc_house.start()
    with pytest.raises(ProcessFailedError) as failed:
        second.wait_for("ready", timeout_s=START_S)
    assert failed.value.exit_code == os.EX_UNAVAILABLE
    tc_house.daemon = first
    guest = tc_house.guest(4)
    tc_house.let_in("anna", guest)
    assert tc_house.all_open([guest])
    assert tc_house.all_shut([tc_house.guest(4)])
    assert first.stop(signal.SIGTERM) == 0
