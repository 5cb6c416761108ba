# SPDX-License-Identifier: MIT
"""Clocks of the server that are set, and a server that was asleep: nobody is shut out, nobody stays too long.

The daemon's clocks are turned by the plugin of rigged.py, so nothing tells it: it has to see for itself,
which takes up to a second. That a real clock wakes it at once is in tests/unit/test_walltimer.py.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from house import ALL, LOG_S
from lines import DESK, Desk
from patience import within
from rigging import CONFIG, Rig

from spale_core.demo.poll import until

SEEN_S = 2.5
"""In a second it is seen, and in the next one it is done."""

DAY_S = 86_400


@pytest.fixture
def rig(tc_house, tmp_path, monkeypatch):
    """Return a rig; the daemons of the test's house have a past of an hour."""
    rig = Rig(tmp_path / "site", monkeypatch)
    rig.remember(tc_house.config["STATE_DIR"])
    tc_house.config.update({**CONFIG, "PROTECTED_PORTS": ",".join(map(str, (*ALL, DESK)))})
    return rig


@pytest.fixture
def stack():
    """Return what closes everything at the end."""
    with ExitStack() as stack:
        yield stack


def gets_in(house, client, shift_s):
    """Tell whether a client whose clock is `shift_s` ahead gets in, soon."""
    guest = house.guest(4)

    def is_in():
        house.send(guest, house.datagram(client, guest, late_s=-shift_s))
        return until(lambda: house.daemon.events("granted", source=str(guest)), 0.3)

    return until(is_in, LOG_S)  # the listener makes tags first


def test_a_clock_that_is_set(tc_house, rig):
    """An hour forward, then two back: new tags at once; grants are as they were; nobody knocks as before."""
    tc_house.guard()
    guest = tc_house.guest(4)
    tc_house.let_in("anna", guest)
    for client, shift_s in (("usher", 3600), ("tardy", -3600)):
        rig.turn(shift_s=shift_s)
        assert gets_in(tc_house, client, shift_s)
        assert tc_house.all_open([guest])
        late = tc_house.guest(4)
        tc_house.knock("patient", late)
        # Knocks that came before the tags were counted, too; his is the last.
        refused = {"reason": "unknown_tag", "last_source": str(late)}
        tc_house.daemon.wait_for("refused", timeout_s=LOG_S, **refused)
        assert tc_house.all_shut([late])


def test_a_clock_that_is_set_past_a_clients_time(tc_house, rig, stack):
    """It ends within a second, as it would have by itself; set back, the client may knock again."""
    expires = datetime.fromtimestamp(time.time() + DAY_S / 2, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    tc_house.guard(USHER_EXPIRES=expires, USHER_PORTS=str(DESK))
    desk = Desk(tc_house, tc_house.stage.server, tc_house.stage.server_addresses, stack)
    guest, other = tc_house.guests()
    tc_house.let_in("usher", guest)
    tc_house.let_in("anna", other)
    lines = [desk.call(guest), desk.call(other)]
    rig.turn(shift_s=DAY_S)
    (event,) = within(lambda: tc_house.daemon.events("revoked", client="usher"), SEEN_S)
    assert (event["cause"], event["sessions"]) == ("expired", "1")
    assert lines[0].is_cut()
    assert lines[1].carries()
    assert desk.refuses(guest)
    assert tc_house.all_open([other])
    rig.turn(shift_s=0)
    assert gets_in(tc_house, "usher", 0), tc_house.daemon.log.read_text()


def test_a_suspend_ages(tc_house, rig, stack):
    """Grants, then sessions, and tags: all are so much older when the machine is awake again."""
    tc_house.guard(ANNA_IDLE_SEC=1000, ANNA_GRACE_SEC=0, BRIEF_IDLE_SEC=10_000, SESSION_SEC=5000)
    desk = Desk(tc_house, tc_house.stage.server, tc_house.stage.server_addresses, stack)
    guest, other = tc_house.guests()
    tc_house.let_in("anna", guest)
    tc_house.let_in("brief", other)
    lines = [desk.call(guest), desk.call(other)]
    rig.turn(slept_s=2000, shift_s=2000)
    (event,) = within(lambda: tc_house.daemon.events("expired", client="anna"), SEEN_S)
    assert event["source"] == str(guest)
    assert "suspended for 2000.0 s" in tc_house.daemon.events("warning")[-1]["message"]
    assert desk.refuses(guest)
    assert all(line.carries() for line in lines)
    assert tc_house.all_open([other])
    assert gets_in(tc_house, "usher", 2000)
    # In the end the second is silent, too: its session is older than it may be, but its grant is alive.
    rig.turn(slept_s=8000, shift_s=8000)
    assert until(lambda: len(tc_house.daemon.events("warning")) > 2, LOG_S)
    assert within(lines[0].is_cut, SEEN_S)
    assert lines[1].carries()
