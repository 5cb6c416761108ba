# SPDX-License-Identifier: MIT
"""Pins in a bpffs: what they hand over, and that nothing depends on them.

The daemons run in a mount namespace of their own, where a bpffs comes and goes; the host's is not touched.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest
from house import ALL, NOTICED_S
from lines import DESK, Desk
from rooms import Room

from spale_bpf import _abi, interface, programs
from spale_core.demo.poll import until
from spale_core.demo.stage import DOOR

IDLE_S = 3
SHORT = {"PROTECTED_PORTS": ",".join(map(str, (*ALL, DESK))), "BRIEF_IDLE_SEC": IDLE_S, "BRIEF_GRACE_SEC": 0}


@pytest.fixture
def room(tc_house):
    """Return a room."""
    room = Room(tc_house, SHORT)
    yield room
    tc_house.close()
    room.close()


@pytest.fixture
def desk(tc_house):
    """Return a desk in the house."""
    with ExitStack() as stack:
        yield Desk(tc_house, tc_house.stage.server, tc_house.stage.server_addresses, stack)


def hanging(house):
    """Return the ids of all programs on the server's door."""
    with house.stage.server.inside():
        return programs.program_ids(interface.find(DOOR))


def test_maps_and_programs_are_pinned(room):
    """Below PIN_DIR/v<ABI>, in a folder of the interface's; the next start puts its own there."""
    room.mount()
    for _ in range(2):
        room.guard()
        ((folder, names),) = room.pins().items()
        assert folder.startswith(f"v{_abi.ABI_VERSION}/net")
        assert names == {*_abi.MAPS, "spale_tc_eth", "spale_tc_l3"}
        room.house.daemon.stop(signal.SIGKILL)


def test_removing_pins_opens_nothing(room):
    """Nor does the end of the file system; the daemon pins again at its next sweep if there is one."""
    room.mount()
    room.guard()
    room.run("rm", "-r", str(room.mountpoint / "spale"))
    assert room.house.all_shut(room.house.guests())
    assert until(room.pins, NOTICED_S)
    room.run("umount", str(room.mountpoint))
    assert room.pins() == {}
    assert room.house.all_shut(room.house.guests())
    room.mount()
    assert until(room.pins, NOTICED_S)
    assert room.house.daemon.exit_code is None


def test_without_a_bpffs_a_wish_for_pins_is_said(room):
    """Once; the daemon runs. Mounted late, it is used."""
    daemon = room.guard(PIN_MAPS=1)
    (said,) = [line for line in daemon.log.read_text().splitlines() if "nothing is pinned" in line]
    assert "mount -t bpf" in said
    room.mount()
    assert until(room.pins, NOTICED_S)


def test_root_mounts_a_bpffs(room):
    """With PIN_MAPS=1 and the usual PIN_DIR, where none is; over one that is there never a second."""
    if "/sys/fs/bpf" in {line.split()[1] for line in room.mounts()}:
        room.run("umount", "/sys/fs/bpf")
    for _ in range(2):
        room.guard(PIN_MAPS=1, PIN_DIR="/sys/fs/bpf/more/spale").stop()
        assert [line.split()[1] for line in room.mounts() if line.split()[2] == "bpf"] == ["/sys/fs/bpf"]


def test_pins_go_with_a_detach_unless_they_are_to_stay(room):
    """PIN_MAPS=0: gone, and with them sessions. SIGTERM, which keeps the port shut, keeps them."""
    room.mount()
    room.guard().stop(signal.SIGTERM)
    assert room.pins()
    room.guard().stop(signal.SIGINT)
    assert room.pins() == {}
    room.guard(PIN_MAPS=1).stop(signal.SIGINT)
    assert room.pins()
    assert hanging(room.house) == []


def test_sessions_come_from_the_pins(room, desk, tc_house, wait_until):
    """Detached with PIN_MAPS=1 and started again: a connection that was let in goes on, without ADOPT."""
    room.mount()
    room.guard(PIN_MAPS=1)
    guest = tc_house.guest(4)
    tc_house.admit("brief", guest)
    line = desk.call(guest)
    wait_until(time.monotonic() + IDLE_S + 0.2)
    tc_house.daemon.stop(signal.SIGINT)
    room.guard(PIN_MAPS=1, ADOPT=0)
    assert tc_house.daemon.events("inherited") == [{"sessions": "1"}]
    assert line.carries()
    assert desk.refuses(guest)


def test_a_name_is_part_of_the_pins(room):
    """Also one with a dot, which no bpffs takes."""
    room.mount()
    room.guard("--name", "side.door")
    assert room.pins() == {}
    assert room.pins("spale-side%door")


def test_pins_of_others_are_left_alone(room):
    """Of another interface or namespace; those of an older version for this one go."""
    room.mount()
    room.guard()
    ((folder, _),) = room.pins().items()
    mine = folder.partition("/")[2]
    room.house.daemon.stop()
    root = room.mountpoint / "spale"
    for other in (f"v1/{mine}", "v1/net1-if2", f"v{_abi.ABI_VERSION}/{mine}0", f"v1/new-{mine}"):
        room.run("mkdir", "-p", "-m", "0700", str(root / other))
    room.guard()
    assert set(room.pins()) == {folder, "v1/net1-if2", f"v{_abi.ABI_VERSION}/{mine}0"}
