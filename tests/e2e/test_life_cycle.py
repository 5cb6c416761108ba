# SPDX-License-Identifier: MIT
"""However often processes end and start, and whatever they find: the door stays shut.

SPALE_RESTARTS says how often (`nox -s faults`: 50); by default a few times, as a sample.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from house import ALL, LOG_S, SPA_PORT, START_S
from lab import SCHED_CLS, TC_SHOT, command, program
from lines import DESK, Desk, sessions
from strangers import Pest

from spale_bpf import _abi, codec, interface, libbpf, programs
from spale_core.demo.poll import until
from spale_core.demo.stage import DOOR

RESTARTS = int(os.environ.get("SPALE_RESTARTS", "3"))
MISTAKES = max(2, RESTARTS // 5)
KILLS_PER_DAEMON = 4
"""The pause before the next listener doubles with every death; a new daemon begins anew."""

LOCKS = Path("/run/spale/locks")


def hanging(house, door=DOOR):
    """Return the ids of all programs on the server's door."""
    with house.stage.server.inside():
        return programs.program_ids(interface.find(door))


def works(house):
    """Tell whether a guest who knocks gets in."""
    guest = house.guest(4)
    house.let_in("anna", guest)
    return house.all_open([guest])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_restart_opens(house, end):
    """Daemons end and start; who tries all the time never gets in, who knocks does."""
    house.guard()
    with Pest(house, house.guest(4)) as pest:
        for _ in range(RESTARTS):
            house.daemon.stop(end)
            house.guard()
            assert house.daemon.events("attach")[0]["replaced"] == "yes"
    assert pest.answers == 0
    assert len(hanging(house)) == 1
    assert works(house)


@pytest.mark.timeout(600)
def test_no_death_of_a_listener_opens(tc_house):
    """Listeners are killed; the monitor goes on, waits longer each time, and the next one takes knocks."""
    tc_house.guard()
    with Pest(tc_house, tc_house.guest(4)) as pest:
        for kill in range(RESTARTS):
            if kill % KILLS_PER_DAEMON == 0:
                tc_house.daemon.stop()
                pid = tc_house.guard()["listener_pid"]
            pid = _kill_listener(tc_house, pid)
    assert pest.answers == 0
    assert works(tc_house)


def _kill_listener(house, pid):
    """Return the next one's process id."""
    before = len(house.daemon.events("listener_ready"))
    os.kill(int(pid), signal.SIGKILL)
    assert until(lambda: len(house.daemon.events("listener_ready")) > before, LOG_S)
    waits = [float(event["restart_in_s"]) for event in house.daemon.events("listener_died")]
    assert waits == [pytest.approx(0.1 * 2**death) for death in range(before + 1)]
    return house.daemon.events("listener_ready")[-1]["pid"]


@pytest.mark.timeout(600)
def test_no_mistake_opens(tc_house):
    """A start with a mistake in the file, or with a port that is taken, changes nothing that is attached."""
    tc_house.guard()
    with Pest(tc_house, tc_house.guest(4)) as pest:
        for _ in range(MISTAKES):
            tc_house.daemon.stop()
            before = hanging(tc_house)
            assert tc_house.fails(IDLE_SEC="soon") == 78
            assert hanging(tc_house) == before
            tc_house.guard()
    assert pest.answers == 0
    assert works(tc_house)


def test_no_other_version_opens(tc_house):
    """What another version left, with other maps, gives way in place."""
    tc_house.guard()
    with Pest(tc_house, tc_house.guest(4)) as pest:
        tc_house.daemon.stop(signal.SIGKILL)
        with tc_house.stage.server.inside(), program(SCHED_CLS, "spale_tc_eth", TC_SHOT) as older:
            (ours,) = libbpf.prog_query(socket.if_nametoindex(DOOR))
            descriptor = libbpf.prog_get_fd_by_id(ours)
            libbpf.prog_attach(older, socket.if_nametoindex(DOOR), replace_fd=descriptor)
            os.close(descriptor)
        tc_house.guard()
        assert tc_house.daemon.events("attach")[0]["replaced"] == "yes"
    assert pest.answers == 0
    assert len(hanging(tc_house)) == 1
    assert works(tc_house)


def relabel(house, version):
    """Let the settings of the program on the door say that they are of another ABI."""
    (number,) = hanging(house)
    with ExitStack() as stack:

        def opened(descriptor):
            stack.callback(os.close, descriptor)
            return descriptor

        ids = libbpf.prog_info(opened(libbpf.prog_get_fd_by_id(number))).map_ids
        maps = {libbpf.map_info(fd).name: fd for fd in map(opened, map(libbpf.map_get_fd_by_id, ids))}
        settings = libbpf.map_lookup(maps["spale_settings"], codec.index(0), _abi.SETTINGS.size)
        changed = version.to_bytes(4, sys.byteorder) + settings[4:]
        libbpf.map_update(maps["spale_settings"], codec.index(0), changed)


def test_no_other_abi_opens(tc_house):
    """Maps of another ABI are not read: sessions end with their grants, and grants come from the store."""
    ports = {"PROTECTED_PORTS": ",".join(map(str, (*ALL, DESK)))}
    tc_house.guard(**ports)
    guest = tc_house.guest(4)
    tc_house.let_in("anna", guest)
    with ExitStack() as stack, Pest(tc_house, tc_house.guest(4)) as pest:
        desk = Desk(tc_house, tc_house.stage.server, tc_house.stage.server_addresses, stack)
        line = desk.call(guest)
        tc_house.daemon.stop(signal.SIGKILL)
        relabel(tc_house, _abi.ABI_VERSION + 1)
        tc_house.guard(**ports)
        assert tc_house.daemon.events("attach")[0]["replaced"] == "yes"
        assert tc_house.daemon.events("inherited") == []
        assert line.connection not in sessions(tc_house)
        assert line.carries(), "its grant is live"
    assert pest.answers == 0
    assert tc_house.daemon.events("restored") == [{"count": str(len(ALL) + 1), "ended": "0"}]
    assert tc_house.all_open([guest])
    assert works(tc_house)


@pytest.mark.parametrize("enforcer", ["xdp-generic"], indirect=True)
def test_the_mode_that_is_found_is_kept(house):
    """Generic XDP stays so under a daemon that would take native, since the change would be a gap."""
    house.guard()
    with Pest(house, house.guest(4)) as pest:
        house.daemon.stop()
        ready = house.guard(XDP_MODE="auto")
        assert (ready["mode"], house.daemon.events("attach")[0]["replaced"]) == ("generic", "yes")
    assert pest.answers == 0


def test_a_start_that_fails_leaves_what_it_found(house):
    """Nothing where nothing was, and the very program that was there where one was."""
    with house.stage.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", SPA_PORT))  # noqa: S104 - as the daemon will
        assert house.fails() == 69
        assert hanging(house) == []
    house.guard()
    house.daemon.stop()
    before = hanging(house)
    with house.stage.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", SPA_PORT))  # noqa: S104 - as the daemon will
        assert house.fails() == 69
    assert hanging(house) == before
    assert house.all_shut(house.guests())


@pytest.mark.parametrize("enforcer", ["xdp-native"], indirect=True)
def test_a_start_that_fails_at_the_last_interface(house):
    """The door was attached to already; it is as before."""
    assert house.fails(IFACE=f"{DOOR},lo") == 69
    assert hanging(house) == []
    house.guard()
    house.daemon.stop()
    before = hanging(house)
    assert house.fails(IFACE=f"{DOOR},lo") == 69
    assert hanging(house) == before


def test_a_second_daemon_is_refused(tc_house):
    """In one sentence, before it binds or attaches anything, whatever its name and its other folders are."""
    ready = tc_house.guard()
    before, first = hanging(tc_house), tc_house.daemon
    state = tc_house.folder / "other"
    assert tc_house.fails("--name", "second", LISTEN_PORT=55556, STATE_DIR=state) == 69
    said = tc_house.daemon.log.read_text().splitlines()[-1]
    assert said == f"spale: another daemon guards {DOOR} (process {ready['pid']}, on {DOOR}); stop it first"
    assert hanging(tc_house) == before
    tc_house.daemon = first
    assert works(tc_house)


def test_several_daemons_by_name(tc_house):
    """Each with an interface, a port and a state of its own; one's end is not the other's."""
    server, client = tc_house.stage.server, tc_house.stage.client
    server.cable("door1", client, "knock1")
    tc_house.guard()
    first = tc_house.daemon
    second = tc_house.start("--name", "side.door", IFACE="door1", LISTEN_PORT=55556)
    second.wait_for("ready", timeout_s=START_S)
    states = {path.name for path in tc_house.folder.iterdir() if path.name.startswith("state")}
    assert states == {"state", "state-side.door"}
    second.stop(signal.SIGINT)
    assert (len(hanging(tc_house)), hanging(tc_house, "door1")) == (1, [])
    tc_house.daemon = first
    assert works(tc_house)


def test_an_orphan_is_nobody_in_the_way(tc_house):
    """A listener that hangs when its monitor is killed is gone with it, and with it the port it held."""
    listener = int(tc_house.guard()["listener_pid"])
    os.kill(listener, signal.SIGSTOP)
    tc_house.daemon.stop(signal.SIGKILL)
    tc_house.guard()
    # Its new parent may not have noticed yet.
    status = Path(f"/proc/{listener}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()
    assert works(tc_house)


def test_locks_that_are_left_over_are_in_nobodys_way(tc_house):
    """The next daemon takes the file over, and removes it at its end."""
    tc_house.guard()
    with tc_house.stage.server.inside():
        index, inode = socket.if_nametoindex(DOOR), Path("/proc/thread-self/ns/net").stat().st_ino
    lock = LOCKS / f"net{inode}-if{index}.lock"
    assert lock.exists()
    tc_house.daemon.stop(signal.SIGKILL)
    # Any daemon that starts meanwhile, in another test, removes it; then it is not left over.
    lock.touch(0o600)
    tc_house.guard()
    assert lock.exists()
    tc_house.daemon.stop()
    assert not lock.exists()


def test_an_interface_renamed_is_the_same(tc_house):
    """A second daemon cannot get at it by its new name."""
    tc_house.guard()
    with tc_house.stage.server.inside():
        command("ip", "link", "set", DOOR, "name", "gate0")
    assert tc_house.fails(IFACE="gate0", LISTEN_PORT=55556) == 69
