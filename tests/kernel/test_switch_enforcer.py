# SPDX-License-Identifier: MIT
"""A start with another enforcer takes over: no gap, and nothing left that judges by old grants."""

from contextlib import ExitStack, contextmanager

import pytest
from lab import DOORS, FLOODED, SCHED_CLS, TC_NEXT, Flood, chain, doors, drops, program, settings, until
from tc_lab import attached as filters_and_chain
from tc_lab import fill_chain

import spale_tc.attach
import spale_xdp.attach
from spale_bpf import libbpf
from spale_bpf.interface import find
from spale_core.errors import DataplaneError

pytestmark = pytest.mark.kernel

SWITCHES = [(spale_tc.attach.make, spale_xdp.attach.make), (spale_xdp.attach.make, spale_tc.attach.make)]


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@contextmanager
def enforcer(make):
    """Load an enforcer that drops what floods; closing it leaves its programs attached."""
    made = make(settings())
    made.set_services({FLOODED})
    try:
        yield made
    finally:
        made.close()


def attached(door):
    """Return the ids of all programs on a door, however they hang."""
    found = libbpf.xdp_query(find(door).index)
    return sorted({*filters_and_chain(door), found.native, found.generic} - {0})


@pytest.mark.parametrize(("before", "after"), SWITCHES, ids=["tc-to-xdp", "xdp-to-tc"])
def test_the_new_enforcer_takes_over_without_a_gap(client, before, after):
    """While one enforcer replaces the other no packet gets through, and only the new one is left."""
    with enforcer(before) as old, enforcer(after) as new, Flood(client) as flood:
        old.attach(DOORS)
        until(lambda: drops(old) > 0)
        while flood.arrived():
            pass
        attachments = new.attach(DOORS)
        assert all(attachment.replaced for attachment in attachments)
        until(lambda: drops(new) > 0)
        assert not flood.arrived()
        assert [len(attached(door)) for door in DOORS] == [1, 1]
        old.detach()
        assert [len(attached(door)) for door in DOORS] == [1, 1]


@pytest.mark.parametrize(("before", "after"), SWITCHES, ids=["tc-to-xdp", "xdp-to-tc"])
def test_a_failed_switch_puts_the_old_enforcer_back(client, before, after):
    """Where the new enforcer cannot have all interfaces, the old one has its own again, shut all along."""
    with ExitStack() as stack, enforcer(before) as old, enforcer(after) as new:
        fill_chain("lo", stack)  # and XDP has no use for that device anyhow
        old.attach(DOORS[:1])
        ids = attached("door0")
        with Flood(client) as flood:
            until(lambda: drops(old) > 0)
            while flood.arrived():
                pass
            with pytest.raises(DataplaneError, match="lo"):
                new.attach(["door0", "lo"])
            flood.await_more()
            assert not flood.arrived()
        assert attached("door0") == ids


def test_a_switch_leaves_programs_of_others():
    """Somebody else's program in the TCX chain stays when XDP takes over from TC."""
    with (
        program(SCHED_CLS, "foreign", TC_NEXT) as foreign,
        enforcer(spale_tc.attach.make) as old,
        enforcer(spale_xdp.attach.make) as new,
    ):
        libbpf.prog_attach(foreign, find("door0").index)
        old.attach(DOORS[:1])
        new.attach(DOORS[:1])
        assert chain("door0") == ["foreign"]
