# SPDX-License-Identifier: MIT
"""LOADER=bcc with a real daemon: the same life, compiled on this host, and nothing of clang stays in it."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from compiled_rig import demand_bcc
from lines import DESK, Desk
from reloading import Change

from spale_core.demo.processes import run_tool

PORTS = {"PROTECTED_PORTS": f"22,6000,{DESK}"}
BY_XDP = {"DATAPLANE": "xdp", "XDP_MODE": "generic"}
FEW_KB = 4096
COMPILER = re.compile(r"libbcc|libclang|libLLVM")


@pytest.fixture(autouse=True)
def _bcc():
    demand_bcc()


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


def peak_kb(daemon):
    """Return the most memory that a monitor has had, its own and what it shares."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1])


def libraries(daemon):
    """Return what a monitor has mapped that belongs to the compiler."""
    return COMPILER.findall(Path(f"/proc/{daemon.pid}/maps").read_text())


def test_one_daemon_after_the_other(tc_house, stack):
    """What a daemon leaves in the kernel goes on under one with the other loader, and back again."""
    house, peaks = tc_house, {}
    desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
    house.guard(**PORTS)
    guest = house.guest(4)
    house.let_in("anna", guest)
    line = desk.call(guest)
    for loader in ("bcc", "libbpf"):
        house.daemon.stop(signal.SIGTERM)
        house.guard(**PORTS, LOADER=loader)
        assert house.daemon.events("inherited")
        assert house.daemon.events("attach")[0]["replaced"] == "yes"
        assert line.carries()
        assert not desk.refuses(guest)
        assert desk.refuses(house.guest(4))
        peaks[loader] = peak_kb(house.daemon)
        assert libraries(house.daemon) == []
    assert peaks["bcc"] - peaks["libbpf"] < FEW_KB


@pytest.mark.parametrize("dataplane", [{}, BY_XDP], ids=["tc", "xdp"])
def test_a_life(tc_house, dataplane):
    """It guards, lets in who knocks, reads its configuration again without compiling again, and opens."""
    change = Change(tc_house)
    house, own = tc_house, {"LOADER": "bcc", **dataplane}
    house.guard(**own)
    guests = house.guests()
    assert house.all_shut(guests)
    for guest in guests:
        house.let_in("anna", guest)
    assert house.all_open(guests)
    change.reload(**own, PROTECTED_PORTS="22,6000,6001")
    assert house.all_open(guests)
    socket = str(house.config["SOCKET"])
    shown = run_tool(house.stage.server, "spale_core.cli.main", "status", "--socket", socket)
    assert re.search(r"^dataplane +(tc|xdp), compiled on this host by bcc$", shown, re.MULTILINE)
    house.daemon.stop(signal.SIGINT)
    assert house.all_open(house.guests())
