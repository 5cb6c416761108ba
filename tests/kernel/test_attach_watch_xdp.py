# SPDX-License-Identifier: MIT
"""The XDP enforcer is read back: what an administrator takes off is put back, and foreign programs stay."""

import socket
from contextlib import contextmanager

import pytest
from lab import DOORS, FLOODED, XDP, XDP_PASS, Flood, command, doors, program, settings
from watch_lab import refused, repaired

from spale_bpf import libbpf
from spale_core.model import AttachMode, Outcome
from spale_xdp.attach import detach, make

pytestmark = pytest.mark.kernel

FLAGS = {"native": libbpf.XDP_FLAGS_DRV_MODE, "generic": libbpf.XDP_FLAGS_SKB_MODE}
OFF = {"native": "xdpdrv", "generic": "xdpgeneric"}


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@pytest.fixture(params=FLAGS)
def mode(request):
    """Return the word for a mode."""
    return request.param


@contextmanager
def dataplane(mode):
    """Load one that drops what floods; closing it leaves its program attached."""
    made = make(settings(xdp_mode=mode))
    made.set_services({FLOODED})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def made(mode):
    """Return a dataplane that is attached to the first door."""
    with dataplane(mode) as loaded:
        loaded.attach(DOORS[:1])
        yield loaded


@pytest.fixture
def flood(client):
    """Return a flood whose packets are on their way."""
    with Flood(client) as running:
        yield running


def attached():
    """Return ids by mode of the programs on the first door."""
    found = libbpf.xdp_query(socket.if_nametoindex("door0"))
    by_mode = {AttachMode.XDP_NATIVE: found.native, AttachMode.XDP_GENERIC: found.generic}
    return {mode.value: number for mode, number in by_mode.items() if number}


@contextmanager
def foreign(mode):
    """Hang somebody else's program on the first door until the end of the block."""
    with program(XDP, "xdp_balancer", XDP_PASS) as descriptor:
        libbpf.xdp_attach(descriptor, socket.if_nametoindex("door0"), FLAGS[mode])
        yield libbpf.prog_info(descriptor).id
        libbpf.xdp_detach(socket.if_nametoindex("door0"), FLAGS[mode])


def test_what_is_in_order_is_not_touched(made):
    """Looking at an attachment that is as it should be changes nothing."""
    before = attached()
    assert [made.ensure() for _ in range(3)] == [[], [], []]
    assert attached() == before


def test_xdp_off_is_undone(made, mode, flood):
    """After `ip link set X xdp off` the port is open; a look shuts it again, in the same mode."""
    flood.must_not_arrive()
    command("ip", "link", "set", "door0", OFF[mode], "off")
    flood.must_arrive()
    assert repaired(made) == ["nothing"]
    flood.must_not_arrive()
    assert list(attached()) == [mode]


def test_the_mode_is_the_one_that_was():
    """What `auto` had to attach generic is not put back as native, even if that could be by now."""
    with dataplane("generic") as first, dataplane("auto") as made:
        first.attach(DOORS[:1])
        made.attach(DOORS[:1])
        command("ip", "link", "set", "door0", "xdpgeneric", "off")
        assert repaired(made) == ["nothing"]
        assert list(attached()) == ["generic"]


@pytest.mark.parametrize("place", FLAGS)
def test_a_foreign_program_in_its_place_is_left_there_and_said(made, mode, flood, place):
    """Nothing of others is taken off: each look says who is there, and ours is back when that one is gone."""
    command("ip", "link", "set", "door0", OFF[mode], "off")
    with foreign(place) as number:
        for _ in range(2):
            (loss,) = made.ensure()
            assert loss.outcome is Outcome.FAILED
            assert loss.found == f"xdp_balancer (program {number}) {place}"
            assert f"ip link set dev door0 {OFF[place]} off" in loss.note
            assert list(attached().values()) == [number]
    assert repaired(made) == ["nothing"]
    flood.must_not_arrive()


def test_ours_in_another_mode_is_left_there_and_said(flood):
    """One mode cannot replace the other without a gap; the port stays shut and the log says what to do."""
    with dataplane("native") as made:
        made.attach(DOORS[:1])
        descriptor = libbpf.prog_get_fd_by_id(attached()["native"])
        command("ip", "link", "set", "door0", "xdpdrv", "off")
        libbpf.xdp_attach(descriptor, socket.if_nametoindex("door0"), libbpf.XDP_FLAGS_SKB_MODE)
        assert "another mode" in refused(made)
        flood.must_not_arrive()
        assert list(attached()) == ["generic"]


def test_a_successor_is_not_fought(made, mode):
    """Where a later start has taken over, the earlier daemon says so and leaves it alone."""
    with dataplane(mode) as successor:
        successor.attach(DOORS[:1])
        before = attached()
        assert "another spale" in refused(made)
        assert attached() == before


def test_what_spale_detach_takes_off_stays_off(made, flood):
    """The daemon is told: what is missing then is released, once, and not put back at a later look."""
    detach(["door0"])
    (loss,) = made.ensure()
    assert (loss.interface, loss.outcome) == ("door0", Outcome.RELEASED)
    assert made.ensure() == []
    assert attached() == {}
    flood.must_arrive()
