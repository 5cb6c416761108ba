# SPDX-License-Identifier: MIT
"""SIGHUP: the configuration is read again, and holds from one packet to the next, or not at all.

SPALE_RELOADS says how often while knocks come in (`nox -s faults`: 100); by default a few times, as a sample.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from house import ALL, LOG_S, SPA_PORT
from lines import DESK, Desk
from reloading import RELOAD_S, Change
from strangers import Pest

from spale_core.demo.poll import until
from spale_core.demo.processes import run_tool
from spale_core.demo.stage import DOOR
from spale_core.model import Protocol, Service

S = 1_000_000_000
RELOADS = int(os.environ.get("SPALE_RELOADS", "5"))
KNOCKERS = itertools.cycle(("anna", "tardy", "usher", "brief", "patient", "mayfly"))
PAUSE_S = 0.04
"""A client may make ten claims a second: four each, so that a busy machine may judge those of two at once."""

AT_ONCE = 100
"""So many doors are tried at a time."""

SSH, WEB = Service(Protocol.TCP, 22), Service(Protocol.TCP, 6000)
WITH_DESK = ",".join(map(str, (*ALL, DESK)))
REST = tuple(service for service in ALL if service != WEB)


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def change(tc_house):
    """Return how to change the configuration of a house of the test's own, unguarded as yet."""
    return Change(tc_house)


def test_clients_come_and_go(change, stack):
    """A new one may knock; one that is gone may not, and what it held is over at once, connections too."""
    house, wide = change.house, {"PROTECTED_PORTS": WITH_DESK}
    desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
    change.remove("tardy")
    house.guard(**wide)
    guest, neighbour = house.guests()
    house.let_in("anna", guest)
    line = desk.call(guest)
    house.let_in("usher", neighbour)
    change.add("tardy")
    change.remove("anna")
    event = change.reload(**wide)
    assert (event["clients"], event["grants"], event["cut"], event["ended"]) == ("6", "1", "0", "5")
    (revoked,) = house.daemon.events("revoked")
    assert (revoked["client"], revoked["cause"], revoked["source"]) == ("anna", "removed", str(guest))
    assert revoked["sessions"] == "1"
    assert line.is_cut()
    assert house.all_shut([guest])
    assert house.all_open([neighbour], [SSH])
    newcomer = house.guest(4)
    house.let_in("tardy", newcomer)
    assert house.all_open([newcomer])
    with house.refuses("unknown_tag", 1, guest):
        house.knock("anna", guest)


def test_windows_are_cut_and_never_widened(change):
    """Who was let in for longer has from now on what the others have; who was let in for shorter, no more."""
    house = change.house
    house.guard(BRIEF_IDLE_SEC=30)
    long, short = house.guests()
    house.let_in("anna", long)
    house.let_in("brief", short)
    event = change.reload(BRIEF_IDLE_SEC=600, BRIEF_GRACE_SEC=600, ANNA_IDLE_SEC=40, ANNA_GRACE_SEC=0)
    assert (event["grants"], event["cut"], event["ended"]) == ("8", "4", "0")
    windows = {(each.source.address, each.idle_ns // S, each.grace_ns // S) for each in change.grants()}
    assert windows == {(long, 40, 0), (short, 30, 0)}
    assert house.daemon.events("revoked") == []


def test_services_and_prefixes(change, stack):
    """What is new is protected at once, what is gone is open at once; so with what needs no knock."""
    house = change.house
    desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
    house.guard(PROTECTED_PORTS=",".join(map(str, REST)))
    stranger, guest = house.guest(4), house.guest(4)
    house.let_in("anna", guest)
    standing = desk.call(stranger)
    assert house.all_open([stranger], [WEB])
    change.reload(PROTECTED_PORTS=WITH_DESK)
    assert house.all_shut([stranger])
    assert desk.refuses(stranger)
    assert standing.carries()
    few = f"{SSH},{WEB},{DESK}"
    event = change.reload(PROTECTED_PORTS=few, ALWAYS_ALLOW=f"{stranger}/32")
    assert (event["grants"], event["ended"]) == ("1", "2")
    (revoked,) = house.daemon.events("revoked")
    assert (revoked["client"], revoked["cause"], revoked["services"]) == (
        "anna",
        "changed",
        "22/udp,6000/udp",
    )
    assert house.all_open([house.guest(4)], [each for each in ALL if each not in {SSH, WEB}])
    assert house.all_open([stranger], [WEB])
    assert house.all_shut([house.guest(4)], [WEB])
    change.reload(PROTECTED_PORTS=few)
    assert house.all_shut([stranger], [WEB])
    assert standing.carries()


def test_mistakes_and_what_needs_a_restart(change):
    """Each is named, all at once, and nothing changes; mended, it holds."""
    house = change.house
    ready = house.guard()
    guest = house.guest(4)
    house.let_in("anna", guest)
    lines = len(house.config)
    words = change.fails(LOG_ONLY=1, MAX_SEC="long", IDEL_SEC=1)
    assert [each.split()[0:2] for each in words] == [
        [f"{change.path}:{lines + 2}:", "MAX_SEC:"],
        [f"{change.path}:{lines + 3}:", "IDEL_SEC:"],
    ]
    restart = {
        "IFACE": f"{DOOR},lo",
        "LISTEN_PORT": SPA_PORT + 1,
        "LISTEN_ADDR": str(house.stage.server_addresses[4]),
        "LISTEN_ADDR6": str(house.stage.server_addresses[6]),
        "DATAPLANE": "xdp",
        "STORE": "memory",
        "DROP_PRIVS": "daemon",
        "XDP_MODE": "generic",
        "STATE_DIR": house.folder / "elsewhere",
        "PIN_DIR": house.folder / "elsewhere",
        "SOCKET": house.folder / "elsewhere.sock",
        "SOCKET_GROUP": "users",
    }
    for key, value in restart.items():
        assert change.fails(LOG_ONLY=1, **{key: value}) == [f"{key}: needs a restart"]
    assert house.all_open([guest])
    assert house.all_shut([house.guest(4)])
    assert house.daemon.events("listener_ready") == []
    os.kill(int(ready["listener_pid"]), 0)
    change.reload(LOG_ONLY=1)
    assert house.all_open([house.guest(4)])


def test_keys_of_the_server(change):
    """The second one of a rotation is added; a key that nobody can read changes nothing."""
    house = change.house
    house.guard()
    server = house.keyring.server_key
    elsewhere = house.keyring.folder / "elsewhere" / "server.key"
    with house.refuses("unknown_tag", 1, guest := house.guest(4)):
        house.knock("lost", guest)
    change.reload(SERVER_KEY=f"{server},{elsewhere}")
    for client in ("lost", "anna"):
        house.let_in(client, guest := house.guest(4))
        assert house.all_open([guest])
    (words,) = change.fails(SERVER_KEY=house.folder / "nosuch.key")
    assert "nosuch.key does not exist" in words
    house.let_in("lost", house.guest(4))


def test_what_was_opened_on_purpose_stays_open(change):
    """After `spale detach` a reload shuts nothing, and says so; only a start does."""
    house = change.house
    house.guard()
    run_tool(house.stage.server, "spale_core.cli.main", "detach")
    change.ask()
    assert until(lambda: house.daemon.exit_code is not None, RELOAD_S)
    assert house.daemon.events("detach") == [{"interface": DOOR}]
    assert house.daemon.events("reload") == []
    assert house.all_open(house.guests())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("enforcer", ["tc", "xdp-native"], indirect=True)
def test_reloads_lose_nothing(house, stack):
    """Each knock that comes meanwhile opens, a stranger never gets in, connections and grants go on."""
    change = Change(house)
    roomy = {"CLIENT_MAX_SOURCES": 65536, "PROTECTED_PORTS": WITH_DESK, "IDLE_SEC": 3600}
    roomy |= {"BRIEF_IDLE_SEC": 3600, "PATIENT_IDLE_SEC": 3600, "MAYFLY_MAX_SEC": 40000}
    house.guard(**roomy)
    desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)
    pest = stack.enter_context(Pest(house, house.guest(4)))
    house.let_in("anna", guest := house.guest(4))
    line = desk.call(guest)
    descriptors = _descriptors(house)
    knocked = []
    for number in range(RELOADS):
        change.write(**roomy, MAX_SEC=40000 + number)
        change.ask()
        knocked += _knock_until(house, lambda done=number + 1: _reloads(house) >= done)
        assert line.carries()
    knocked += _knock_until(house, lambda: True)
    # No repeats, so each one counts.
    missing = set(map(str, knocked))
    assert until(lambda: missing <= {each["source"] for each in house.daemon.events("granted")}, LOG_S)
    for first in range(0, len(knocked), AT_ONCE):
        assert house.all_open(knocked[first : first + AT_ONCE], [SSH])
    assert until(lambda: _descriptors(house) == descriptors, LOG_S)
    assert house.daemon.events("reload_failed") == house.daemon.events("listener_died") == []
    assert "error " not in house.daemon.log.read_text()
    stack.close()
    assert pest.answers == 0


def _descriptors(house):
    return len(list(Path(f"/proc/{house.daemon.pid}/fd").iterdir()))


def _reloads(house):
    return len(house.daemon.events("reload"))


def _knock_until(house, done):
    """Knock with fresh datagrams, each from an address of its own, at an even pace; return the addresses."""
    used = []
    while not used or not done():
        due = time.monotonic() + PAUSE_S
        used.append(guest := house.guest(4))
        house.send(guest, house.datagram(next(KNOCKERS), guest))
        assert until(lambda then=due: time.monotonic() >= then, 1)
    return used
