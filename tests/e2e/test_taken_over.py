# SPDX-License-Identifier: MIT
"""A listener that was taken over: what it says and tries, at a real daemon (docs/privsep.md)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from captive import CONFIG, Captive
from demanded import lacking
from house import LOG_S
from prying import EVERYBODY_MAY_USE_BPF
from rigging import Rig

from spale_core import ipc, seccomp
from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.gate import CLAIMS_PER_SECOND

FLOOD = 5000
FLOOD_LIMIT_S = 60
SOURCES = 16
ROOM = 40
MEMORY_KIB = 8192
"""What a flood may add to the monitor's memory: no more than the buffers that it fills once."""

NO_CLIENT = 4000
ILLEGAL = {
    "no such type": {"deed": "say", "record": "09"},
    "a byte too few": {"deed": "say", "record": ipc.encode(ipc.Alive()).hex() + "00"},
    "ready again": {"deed": "say", "record": ipc.encode(ipc.Ready()).hex()},
    "a claim for nobody": {"deed": "claims", "changes": [{"client": NO_CLIENT}]},
    "a refusal of nobody": {"deed": "refused", "client": NO_CLIENT},
    "a tag of nobody": {"deed": "tag", "client": NO_CLIENT, "server_key": 0, "again": False},
    "a tag of no key of ours": {"deed": "tag", "client": 0, "server_key": 1, "again": False},
    "two tags at once": {"deed": "tag", "client": 0, "server_key": 0, "again": True},
}

IN_VAIN = {
    "services_not_allowed": [{"services": [23]}, {"services": [22, 23]}],
    "skew": [{"unix_ms": 1}, {"unix_ms": 2**63}],
    "bad_source": [{"source": each} for each in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255")],  # noqa: S104 - no host has it
    "unprotected_interface": [{"ifindex": 4000}],
}
"""Well-formed claims for what the client may not have, by the reason for which the monitor refuses them."""

FILTERED = {"EPERM"}
UNFILTERED = {
    "file": "EMFILE",
    "socket": "EMFILE",
    "fork": "EAGAIN",
    "kill": "EPERM",
    "root": "EPERM",
    "ptrace": "EPERM",
}
"""What is refused to a listener without a filter, and how."""


@pytest.fixture
def captive(tc_house, tmp_path, monkeypatch):
    """Return a house whose daemon runs an authenticator that is not ours."""
    captive = Captive(tc_house, tmp_path / "site", monkeypatch)
    Rig.remember(tc_house.config["STATE_DIR"])
    return captive


def guard(captive, **changes):
    """Start a daemon; return its `ready` event."""
    return captive.house.guard(**CONFIG, **changes)


def said(house):
    """Return the end of the log."""
    return house.daemon.log.read_text()[-1500:]


def grants(house):
    """Return what is granted, by how the daemon tells it; it must answer in time."""
    with Client.connect(house.config["SOCKET"], patience_s=10) as client:
        return client.call("list_authorized")


def rss_kib(pid):
    """Return the memory that a process has by now."""
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in each]
    return int(line.split()[1])


@pytest.mark.parametrize("illegal", [list(ILLEGAL)[:4], list(ILLEGAL)[4:]], ids=["forms", "names"])
def test_what_no_listener_says_ends_it(captive, illegal):
    """Each such message: the listener is ended and replaced, and nothing was opened by it."""
    guard(captive)
    house = captive.house
    for count, name in enumerate(illegal, start=1):
        captive.order(**ILLEGAL[name])
        assert until(lambda count=count: len(house.daemon.events("listener_died")) == count, LOG_S), name
        assert until(lambda count=count: len(house.daemon.events("listener_ready")) == count, LOG_S), name
    assert house.daemon.events("granted") == []
    assert grants(house) == []
    assert house.all_shut(house.guests())
    # The ninth or so listener is as good as the first.
    guest = house.guest(4)
    house.let_in("anna", guest)
    assert house.all_open([guest])


def test_claims_for_what_a_client_may_not_have_open_nothing(captive):
    """Other services, other times, sources that no host has, another interface, the same twice."""
    ready = guard(captive)
    house = captive.house
    honest = set()
    for reason, changes in IN_VAIN.items():
        honest.add(str(captive.order("claims", changes=changes)))
        wanted = len(changes)
        assert until(lambda reason=reason, n=wanted: house.refusals(reason)[1] >= n, LOG_S), said(house)
    honest.add(str(captive.order("replay")))
    assert until(lambda: house.refusals("replay")[1] == 1, LOG_S)
    # The knock that brought each order was a good one.
    assert until(lambda: {each["source"] for each in grants(house)} == honest, LOG_S)
    assert {each["service"] for each in grants(house)} <= {"22/tcp", "22/udp", "6000/tcp", "6000/udp"}
    with Client.connect(house.config["SOCKET"]) as client:
        assert client.call("status")["listener_pid"] == int(ready["listener_pid"])


@pytest.mark.parametrize("kind", ["claims", "tags"])
def test_floods_are_bounded(captive, kind):
    """Ten claims a second, so many sources, grants, tags; the monitor goes on answering, and stays small."""
    ready = guard(captive, MAX_GRANTS=ROOM, CLIENT_MAX_SOURCES=SOURCES)
    house = captive.house
    with Client.connect(house.config["SOCKET"]) as client:
        clients = client.call("status")["clients"]
    guest = house.guest(4)
    house.let_in("anna", guest)
    before = rss_kib(ready["pid"])
    began = time.monotonic()
    captive.order("flood", kind=kind, count=FLOOD, clients=clients)
    answered = 0
    while not captive.has_answered and time.monotonic() < began + FLOOD_LIMIT_S:
        assert len(grants(house)) <= ROOM
        answered += 1
    assert captive.answer() < time.monotonic() - began
    assert answered
    held = grants(house)
    took_s = time.monotonic() - began
    assert len(house.daemon.events("granted")) <= CLAIMS_PER_SECOND * (took_s + 2) < FLOOD
    assert len({each["source"] for each in held}) <= SOURCES
    assert len(held) <= ROOM
    assert rss_kib(ready["pid"]) - before < MEMORY_KIB
    assert house.daemon.exit_code is None
    assert house.all_shut(house.guests())


def test_a_filtered_listener_can_do_nothing_else(captive):
    """No file, no answer to anybody, no process, no privileges, no BPF: each call is refused, and said."""
    ready = guard(captive)
    if not seccomp.is_on(int(ready["listener_pid"])):
        lacking("no libseccomp")
    captive.order("calls", monitor=int(ready["pid"]))
    assert set(captive.answer().values()) == FILTERED
    for deed in ("descriptor", "program"):
        captive.order(deed)
        assert captive.answer() == "EPERM"
    captive.order("denied")
    refused = captive.house.daemon.wait_for("call_refused", timeout_s=LOG_S)
    assert (refused["count"], refused["where"].partition(":")[0]) == ("1", "evil.py")
    assert captive.house.refusals("internal")[1] == 1
    assert captive.house.daemon.events("listener_died") == []


def test_without_a_filter_there_is_still_no_way_out(captive):
    """The bounds and the other user remain; a descriptor that is passed along ends the listener."""
    captive.without_filter()
    ready = guard(captive)
    house = captive.house
    assert house.daemon.wait_for("warning", message=seccomp.WARNING)
    captive.order("calls", monitor=int(ready["pid"]))
    found = captive.answer()
    assert {name: found[name] for name in UNFILTERED} == UNFILTERED
    assert found["bpf"] == ("EMFILE" if EVERYBODY_MAY_USE_BPF.read_text() == "0\n" else "EPERM")
    captive.order("descriptor")
    assert house.daemon.wait_for("listener_died", timeout_s=LOG_S)["cause"].startswith(
        "a message with ancillary"
    )
