# SPDX-License-Identifier: MIT
"""Clients come and go: what each has ends with it, and with nobody else."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from house import ALL, LOG_S
from lines import DESK, Desk, state
from patience import within
from reloading import Change

from spale_core.demo.poll import until
from spale_core.model import Protocol, Service

PORTS = ",".join(map(str, (*ALL, DESK)))
AT_ONCE_S = 1.0
"""How long after its last moment a client may still have something, and some time to be heard of it."""

SOON_S = 5
"""Until a client's time is over: enough for a reload on a busy machine."""


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def club(tc_house, tmp_path):
    """Return a house with a clients' folder of its own, in which DESK is protected too."""
    folder = tmp_path / "clients"
    shutil.copytree(tc_house.config["CLIENTS_DIR"], folder)
    folder.chmod(0o700)
    tc_house.config.update(CLIENTS_DIR=folder, PROTECTED_PORTS=PORTS, USHER_PORTS=f"22/tcp,{DESK}")
    return tc_house


def desk_of(house, stack):
    """Return a desk behind the door."""
    return Desk(house, house.stage.server, house.stage.server_addresses, stack)


def soon(seconds):
    """Return a whole second of the wall clock that is so far off, and how it is written."""
    at = int(time.time() + seconds) + 1
    return at, datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def line_of(house, desk, client, guest):
    """Return a line that `client` was let in for."""
    windows(house, client, guest)
    return desk.call(guest)


def windows(house, client, guest, **wishes):
    """Knock; return what was granted: idle, grace, end."""
    house.send(guest, house.datagram(client, guest, **wishes))
    event = house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))
    return [event[key] for key in ("idle_s", "grace_s", "max_s")]


def test_a_client_that_is_removed(club, stack):
    """Ends at the next start: grants and sessions. Of two behind one address the other's stay."""
    club.guard()
    desk = desk_of(club, stack)
    guest, both, other = club.guest(4), club.guest(6), club.guest(4)
    alone = line_of(club, desk, "anna", guest)
    shared = line_of(club, desk, "anna", both)
    club.let_in("usher", both)
    after = desk.call(both)
    others = line_of(club, desk, "usher", other)
    club.daemon.stop()
    (club.config["CLIENTS_DIR"] / "anna.pem").unlink()
    club.guard()
    assert alone.is_cut()
    assert state(club, shared.connection) is None, "usher came after its SYN"
    assert state(club, after.connection) is not None, "it is usher's too"
    assert others.carries()
    assert club.all_shut([guest])
    assert club.all_open([both, other], [ALL[0]])
    assert desk.call(both).carries()
    assert club.all_shut([both], ALL[1:])
    said = club.daemon.events("revoked", client="anna", cause="removed")
    assert {(event["source"], event["sessions"]) for event in said} == {(str(guest), "1"), (str(both), "1")}


def test_a_client_whose_time_is_over(club, stack):
    """At once, not at the next sweep: its grant, its session; not what another one holds there."""
    change = Change(club)
    club.guard()
    desk = desk_of(club, stack)
    guest, both = club.guests()
    alone = line_of(club, desk, "anna", guest)
    windows(club, "anna", both)
    windows(club, "usher", both)
    shared = desk.call(both)
    at, written = soon(SOON_S)
    change.reload(ANNA_EXPIRES=written)
    assert club.all_open([guest])
    assert alone.carries()
    assert time.time() < at, "this machine is too slow to tell"

    def over():
        return club.daemon.events("revoked", source=str(guest))

    until(lambda: over() or time.time() > at, SOON_S + 1)
    assert time.time() > at
    (event,) = within(over, AT_ONCE_S)
    assert (event["client"], event["cause"], event["sessions"]) == ("anna", "expired", "3")
    assert alone.is_cut()
    assert club.all_shut([guest])
    assert shared.carries()
    assert club.all_open([both], [ALL[0]])
    assert club.all_shut([both], ALL[1:])
    with club.refuses("client_expired", 1, guest):
        club.knock("anna", guest)


@pytest.mark.parametrize("enforcer", ["tc", "xdp-native"], indirect=True)
def test_windows_that_never_end(house, wait_until):
    """-1 for idle, grace and the end: open long after those of others have closed; also after a restart."""
    never = {f"ANNA_{key}": -1 for key in ("IDLE_SEC", "GRACE_SEC", "MAX_SEC")}
    changes = {**never, "TARDY_IDLE_SEC": 1, "TARDY_GRACE_SEC": -1, "TARDY_MAX_SEC": 4}
    house.guard(**changes)
    forever, rearmed, brief = house.guest(4), house.guest(6), house.guest(4)
    assert windows(house, "anna", house.guest(4), idle_s=5) == ["5", "5", "-1"]
    assert windows(house, "anna", forever) == ["-1", "-1", "-1"]
    assert windows(house, "brief", brief) == ["2", "0", "43200"]
    assert windows(house, "tardy", rearmed) == ["1", "-1", "4"]
    since = time.monotonic()
    wait_until(since + 2.1)
    assert house.all_open([rearmed], [Service(Protocol.TCP, 22)]), "in grace a SYN passes"
    assert house.all_shut([brief])
    wait_until(since + 4.1)
    assert house.all_shut([rearmed])
    assert house.all_open([forever])
    house.daemon.stop(signal.SIGKILL)
    house.guard(**changes)
    assert house.all_open([forever])


def test_two_server_keys(tc_house):
    """While a key is rotated, clients made for either get in; afterwards only those of the new one."""
    old, new = tc_house.keyring.server_key, tc_house.keyring.folder / "elsewhere" / "server.key"
    guests = tc_house.guests()
    tc_house.guard(SERVER_KEY=f"{old},{new}")
    for client, guest in zip(("anna", "lost"), guests, strict=True):
        tc_house.let_in(client, guest)
    assert tc_house.all_open(guests)
    tc_house.daemon.stop()
    tc_house.guard(SERVER_KEY=new)
    assert tc_house.all_open(guests), "grants are of clients, not of keys"
    late = tc_house.guest(4)
    with tc_house.refuses("unknown_tag", 1, late):
        tc_house.knock("anna", late)
    tc_house.let_in("lost", late)


def test_what_ran_out_is_still_its_owners(club, stack, wait_until):
    """A session outlives its grant, and ends with its owner at the start after that."""
    short = {"ANNA_IDLE_SEC": 1, "ANNA_GRACE_SEC": 0}
    club.guard(**short)
    desk = desk_of(club, stack)
    guest = club.guest(4)
    line = line_of(club, desk, "anna", guest)
    wait_until(time.monotonic() + 1.1)
    assert line.carries()
    club.daemon.stop(signal.SIGKILL)
    club.guard(**short)
    assert club.daemon.events("restored") == [{"count": "0", "ended": "5"}]
    assert line.carries()
    assert desk.refuses(guest)
    club.daemon.stop(signal.SIGKILL)
    (club.config["CLIENTS_DIR"] / "anna.pem").unlink()
    club.guard()
    assert line.is_cut()
    assert state(club, line.connection) is None
