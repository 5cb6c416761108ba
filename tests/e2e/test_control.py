# SPDX-License-Identifier: MIT
"""What the management socket says of a real kernel: sessions, tokens, drops, and all about one source."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from house import ALL, LOG_S
from lines import DESK, Desk

from spale_core.control.client import Client
from spale_core.demo.poll import until

PORTS = ",".join(map(str, (*ALL, DESK)))


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk(tc_house, stack):
    """Return a desk in a house whose knocks are limited."""
    desk = Desk(tc_house, tc_house.stage.server, tc_house.stage.server_addresses, stack)
    tc_house.guard(PROTECTED_PORTS=PORTS, SPA_RL_RATE=1, SPA_RL_BURST=9, STORE="memory")
    return desk


def test_what_there_is(tc_house, desk, stack):
    """Both families: the grant, the session and whose it is, the knock that was counted, the drops."""
    house = tc_house
    client = stack.enter_context(Client.connect(house.config["SOCKET"]))
    stranger = house.guest(4)
    assert house.all_shut([stranger], [DESK])
    for guest in house.guests():
        house.let_in("anna", guest)
        line = desk.call(guest)
        assert line.carries()
        (session,) = [each for each in client.call("list_sessions") if each["source"] == str(guest)]
        assert (session["service"], session["state"], session["owners"]) == (str(DESK), "open", ["anna"])
        # Each takes a second to be forgotten.
        house.send(guest, *(house.datagram("anna", guest) for _ in range(5)))
        text = str(guest) if guest.version == 4 else "2001:db8::/64"
        limits = client.call("list_ratelimit")
        assert (limits["rate"], limits["burst"]) == (1, 9)
        assert {each["source"]: each["tokens"] for each in limits["sources"]}[text] in range(3, 9)
        facts = client.call("facts", source=str(guest), service=str(DESK))
        assert [each["service"] for each in facts["grants"]] == sorted(map(str, (*ALL, DESK)), key=_order)
        (fact,) = facts["sessions"]
        assert 0 < fact["opened_ns"] <= fact["last_ns"] <= time.monotonic_ns()
        assert {each["client"] for each in facts["shares"]} == {"anna"}
    dropped = {"reason": "no_grant", "last_source": str(stranger)}
    assert until(lambda: dropped in [_without_count(each) for each in client.call("list_dropped")], LOG_S)
    (port,) = [each for each in client.call("list_ports") if each["service"] == str(DESK)]
    assert (port["grants"], port["sessions"]) == (2, 2)
    assert client.call("revoke", client="anna")["sessions"] == 2
    assert client.call("list_sessions") == []


def _order(text):
    port, _, protocol = text.partition("/")
    return protocol, int(port)


def _without_count(row):
    return {key: value for key, value in row.items() if key != "count"}
