# SPDX-License-Identifier: MIT
"""A daemon whose standard streams were closed by who started it: nothing of its own gets their numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from house import LOG_S, START_S

from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.demo.processes import Background, python
from spale_core.errors import UnavailableError


def _listener(house):
    """Return the listener's number, None while the daemon does not answer."""
    try:
        with Client.connect(house.config["SOCKET"]) as client:
            return client.call("status")["listener_pid"]
    except UnavailableError:
        return None


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stay_the_null_device(tc_house, closed):
    """Neither lock files nor sockets are standard streams of the daemon or of the listener; it guards."""
    conf = tc_house.folder / "closed.conf"
    conf.write_text("".join(f"{key}={value}\n" for key, value in tc_house.config.items()))
    conf.chmod(0o600)
    run = python("spale_core.cli.main", "run", "--config", str(conf))
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *run]
    daemon = Background(tc_house.stage.server, command, tc_house.folder / "closed.log")
    try:
        assert until(lambda: _listener(tc_house) is not None, START_S)
        listener = _listener(tc_house)
        numbers = range(3) if closed.startswith("<") else [2]
        for pid, number in [(pid, number) for pid in (daemon.pid, listener) for number in numbers]:
            assert str(Path(f"/proc/{pid}/fd/{number}").readlink()) == os.devnull
        assert until(lambda: tc_house.all_shut(tc_house.guests()), LOG_S)
    finally:
        code = daemon.stop()
    assert code == 0
    assert not Path(f"/proc/{listener}").exists()
