# SPDX-License-Identifier: MIT
"""The TC enforcer is read back: what others took off is put back, and first again if they got before it."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from lab import (
    DOORS,
    TC_NEXT,
    TC_OK,
    TC_SHOT,
    Flood,
    command,
    doors,
    drops,
    until,
)
from pyroute2 import IPRoute
from tc_lab import OURS, attached, dataplane, fill_chain
from watch_lab import (
    BEHIND_OURS,
    WAYS,
    described,
    foreign,
    index,
    names,
    refused,
    repaired,
    take_off,
    without_sys_admin,
)

from spale_bpf import libbpf
from spale_core.model import AttachMode, Outcome
from spale_tc import clsact
from spale_tc.attach import detach

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@pytest.fixture(params=WAYS, ids=lambda mode: mode.value)
def mode(request):
    """Return a way to attach."""
    return request.param


@pytest.fixture
def made(mode):
    """Return a dataplane that is attached to the first door."""
    with dataplane(**WAYS[mode]) as loaded:
        loaded.attach(DOORS[:1])
        yield loaded


@pytest.fixture
def flood(client):
    """Return a flood whose packets are on their way."""
    with Flood(client) as running:
        yield running


def test_what_is_in_order_is_not_touched(made):
    """Looking at an attachment that is as it should be changes nothing."""
    before = attached("door0")
    assert [made.ensure() for _ in range(3)] == [[], [], []]
    assert attached("door0") == before


def test_what_was_taken_off_is_back(made, mode, flood):
    """Removed by `tc qdisc del dev X clsact`, or out of the chain: the port opens, and is shut again."""
    take_off(mode)
    flood.must_arrive()
    assert repaired(made) == ["nothing"]
    flood.must_not_arrive()
    assert names() == [OURS]


def test_one_that_says_ok_before_ours_opens_until_ours_is_first_again(made, mode, flood):
    """A foreign program that ends the chain lets everybody in, until a look puts ours before it."""
    flood.must_not_arrive()
    with foreign(mode, TC_OK):
        flood.must_arrive()
        (found,) = repaired(made)
        assert found.startswith(described("foreign"))
        assert found.endswith("before ours")
        flood.must_not_arrive()
        assert names() == [OURS, "foreign"]


def test_getting_first_again_leaves_no_gap(made, mode, flood):
    """However often others get before ours, no packet of a flood finds a moment without it."""
    flood.must_not_arrive()
    with ExitStack() as stack:
        for number in range(20):
            place = libbpf.ClsactFilter(clsact.PLACE.priority, number + 1)
            stack.enter_context(foreign(mode, TC_NEXT, place, f"foreign_{number}"))
            assert len(repaired(made)) == 1
            assert names()[:2] == [OURS, f"foreign_{number}"]
            assert names().count(OURS) == 1
            flood.await_more()
        assert not flood.arrived()
        until(lambda: drops(made) > 0)


def test_those_after_ours_still_run(made, mode, flood):
    """Our pass is no last word: what ours has no objection to, a foreign program after it still drops."""
    made.set_services(())
    flood.must_arrive()
    with foreign(mode, TC_SHOT, BEHIND_OURS) as behind:
        made.ensure()
        assert names() == [OURS, "foreign"]
        until(lambda: not arrives(flood))
        flood.must_not_arrive()
        if mode is AttachMode.TCX:
            libbpf.prog_detach(behind, index())
        else:
            libbpf.tc_detach(index(), BEHIND_OURS)
        flood.must_arrive()


def arrives(flood):
    """Return whether any of the next packets comes through."""
    flood.drain()
    flood.await_more()
    return flood.arrived()


def test_a_chain_that_is_full_is_left_as_it_is(flood):
    """Where there is no room for the way to the front, ours stays where it is, and the reason is said."""
    with ExitStack() as stack, dataplane() as made:
        made.attach(DOORS[:1])
        fill_chain("door0", stack, leave=1)
        before = attached("door0")
        assert OURS in names()[1:]
        assert "TCX attach" in refused(made)
        assert attached("door0") == before
        flood.must_not_arrive()


def test_what_was_put_first_outlives_its_loader(client, mode):
    """The twin of a program is attached like the program itself: by nobody's process, and taken over."""
    with Flood(client) as flood, dataplane(**WAYS[mode]) as successor:
        with dataplane(**WAYS[mode]) as made:
            made.attach(DOORS[:1])
            with foreign(mode, TC_NEXT):
                assert len(repaired(made)) == 1
        flood.must_not_arrive()
        assert names()[0] == OURS
        assert successor.attach(DOORS[:1])[0].replaced
        assert not flood.arrived()
        assert names().count(OURS) == 1


def test_a_daemon_without_root_can_put_back(made, mode, flood):
    """With CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON alone: names are not told, but what is lost is put back."""
    with foreign(mode, TC_OK) as descriptor:
        number = libbpf.prog_info(descriptor).id
        with without_sys_admin():
            assert repaired(made)[0].startswith(f"program {number}")
        flood.must_not_arrive()
        take_off(mode)
        flood.must_arrive()
        with without_sys_admin():
            assert len(repaired(made)) == 1
        flood.must_not_arrive()


def test_a_daemon_without_root_can_detach(made, mode, flood):
    """What it has hung there is its own to take off, also after it had to overtake others."""
    with foreign(mode, TC_NEXT), without_sys_admin():
        assert len(repaired(made)) == 1
        flood.must_not_arrive()
        made.detach()
        flood.must_arrive()


@pytest.mark.usefixtures("made")
def test_a_start_without_root_and_without_pins_says_what_helps(mode):
    """Over an earlier daemon it is refused, with the ways out, and nothing changes."""
    before, told = attached("door0"), pytest.raises(libbpf.LibbpfError, match="`spale detach` as root")
    with dataplane(**WAYS[mode]) as successor, without_sys_admin(), told:
        successor.attach(DOORS[:1])
    assert attached("door0") == before


def test_a_successor_is_not_fought(made, mode):
    """Where a later start has taken over, the earlier daemon says so and leaves it alone."""
    with dataplane(**WAYS[mode]) as successor:
        successor.attach(DOORS[:1])
        before = attached("door0")
        assert "another spale" in refused(made)
        assert attached("door0") == before
        assert successor.ensure() == []


def test_what_spale_detach_takes_off_stays_off(made, flood):
    """The daemon is told: what is missing then is released, once, and not put back at a later look."""
    detach(["door0"])
    flood.must_arrive()
    (loss,) = made.ensure()
    assert (loss.interface, loss.outcome) == ("door0", Outcome.RELEASED)
    assert made.ensure() == []
    assert attached("door0") == []
    flood.must_arrive()


def test_spale_detach_from_one_interface_leaves_the_others_guarded(mode):
    """Only the interface that it was asked for is released."""
    with dataplane(**WAYS[mode]) as made:
        made.attach(DOORS)
        detach(["door1"])
        assert [(loss.interface, loss.outcome) for loss in made.ensure()] == [("door1", Outcome.RELEASED)]
        assert made.ensure() == []
        assert [len(attached(door)) for door in DOORS] == [1, 0]


def anew():
    """Make an interface that has the first door's name, and nothing else of it."""
    command("ip", "link", "add", "door0", "type", "veth", "peer", "name", "knock9")


def test_an_interface_that_is_gone_is_said_and_forgotten(made):
    """A deleted interface is said once; one of the same name is another, to be attached to without root."""
    before = index()
    command("ip", "link", "delete", "door0")
    anew()
    (loss,) = made.ensure()
    assert (loss.interface, loss.ifindex) == ("door0", before)
    assert (loss.found, loss.outcome) == ("no such interface", Outcome.GONE)
    assert made.ensure() == []
    assert attached("door0") == []
    with without_sys_admin():
        (attachment,) = made.attach(["door0"])
    assert (attachment.ifindex, attachment.replaced) == (index(), False)
    assert names() == [OURS]
    made.detach()
    assert attached("door0") == []


def rename():
    """Call the first door gate0."""
    command("ip", "link", "set", "door0", "down")
    command("ip", "link", "set", "door0", "name", "gate0")
    command("ip", "link", "set", "gate0", "up")


def test_a_renamed_interface_is_still_guarded(made, mode):
    """Another name changes nothing: the program is where it was, and is put back there."""
    number = index()
    rename()
    assert made.ensure() == []
    assert len(attached("gate0")) == 1
    if mode is AttachMode.CLSACT:
        command("tc", "qdisc", "del", "dev", "gate0", "clsact")
        (loss,) = made.ensure()
        assert (loss.interface, loss.ifindex, loss.outcome) == ("gate0", number, Outcome.PUT_BACK)


def test_beside_a_renamed_one_its_name_may_be_attached_to(made):
    """Two interfaces by then: both are looked after, and taken off together."""
    rename()
    anew()
    made.attach(["door0"])
    assert made.ensure() == []
    assert [len(attached(name)) for name in ("gate0", "door0")] == [1, 1]
    made.detach()
    assert [len(attached(name)) for name in ("gate0", "door0")] == [0, 0]


def test_one_that_was_in_another_namespace_meanwhile(made, client, mode):
    """It is gone, and whatever it brings back of ours: attached to again, it has one program, the first."""
    with Path("/proc/thread-self/ns/net").open() as here, IPRoute() as netlink:
        netlink.link("set", index=index(), net_ns_fd=client.fd)
        (loss,) = made.ensure()
        with client.inside(), IPRoute() as there:
            there.link("set", index=index(), net_ns_fd=here.fileno())
    assert loss.outcome is Outcome.GONE
    (attachment,) = made.attach(["door0"])
    assert (attachment.mode, attachment.ifindex) == (mode, index())
    assert names() == [OURS]
    assert made.ensure() == []


@pytest.mark.parametrize("change", [("address", "02:00:00:00:00:07"), ("down",), ("mtu", "1400")])
def test_what_does_not_take_an_interface_away(made, flood, change):
    """Another MAC address, down and up, another size: the program stays, and nothing gets in."""
    command("ip", "link", "set", "door0", *change)
    command("ip", "link", "set", "door0", "up")
    assert made.ensure() == []
    flood.must_not_arrive()
    assert names() == [OURS]
