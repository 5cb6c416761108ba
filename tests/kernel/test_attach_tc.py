# SPDX-License-Identifier: MIT
"""The TC enforcer on real interfaces: in place without a gap, on all of them or on none, and off again."""

import shutil
import socket
import subprocess
from contextlib import ExitStack

import pytest
from lab import DOORS, SCHED_CLS, TC_NEXT, Flood, chain, doors, drops, name_of, program, until
from tc_lab import GENERATIONS, OURS, attached, dataplane, fill_chain, without_tcx

from spale_bpf import libbpf
from spale_core.errors import DataplaneError
from spale_core.model import AttachMode
from spale_tc import clsact
from spale_tc.attach import detach

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@pytest.fixture(params=(AttachMode.TCX, AttachMode.CLSACT), ids=lambda mode: mode.value)
def way(request):
    """Return a way to attach, and the options that lead to it."""
    if request.param is AttachMode.CLSACT:
        return request.param, {"use_tcx": without_tcx}
    try:
        libbpf.prog_query(socket.if_nametoindex("lo"))
    except libbpf.LibbpfError:
        pytest.skip("this kernel has no TCX")
    return request.param, {}


def test_a_fresh_attach_shuts_the_ports_of_all_interfaces(client, way):
    """Each interface has one program of ours, says how, and nothing gets through it."""
    mode, options = way
    with dataplane(**options) as made:
        attachments = made.attach(DOORS)
        assert [(a.interface, a.mode, a.replaced, a.note) for a in attachments] == [
            (door, mode, False, "") for door in DOORS
        ]
        assert [len(attached(door)) for door in DOORS] == [1, 1]
        with Flood(client) as flood:
            flood.await_more()
            until(lambda: drops(made) > 0)
            assert not flood.arrived()


def test_without_a_program_the_flood_arrives(client):
    """The flood of these tests is one that would be noticed."""
    with Flood(client) as flood:
        until(flood.arrived)


def test_replacing_leaves_no_gap(client, way):
    """While generation after generation takes over, not one packet of a flood gets through."""
    _, options = way
    with ExitStack() as generations, Flood(client) as flood:
        before = None
        for _ in range(GENERATIONS):
            made = generations.enter_context(dataplane(**options))
            (attachment,) = made.attach(DOORS[:1])
            assert attachment.replaced is (before is not None)
            if before is None:
                flood.must_not_arrive()
            (now,) = attached("door0")
            assert now != before
            before = now
            flood.await_more()
            until(lambda made=made: drops(made) > 0)
        assert not flood.arrived()


def test_what_is_attached_outlives_its_loader(client):
    """Closing gives up descriptors only: the port stays shut."""
    with dataplane() as made:
        made.attach(DOORS[:1])
    with Flood(client) as flood:
        flood.await_more()
        assert not flood.arrived()
    assert len(attached("door0")) == 1


def take_our_place(door, stack, options):
    """Leave no room for ours on `door`, however it would hang."""
    if not options:
        fill_chain(door, stack)
        return
    index = socket.if_nametoindex(door)
    libbpf.tc_hook_create(index)
    libbpf.tc_attach(stack.enter_context(program(SCHED_CLS, "foreign", TC_NEXT)), index, clsact.PLACE)


def test_a_failure_takes_back_what_was_new(way):
    """Where the second interface refuses, the first has nothing of ours."""
    _, options = way
    with ExitStack() as stack, dataplane(**options) as made:
        take_our_place("door1", stack, options)
        with pytest.raises(DataplaneError, match="door1: "):
            made.attach(DOORS)
        assert attached("door0") == []
        assert OURS not in map(name_of, attached("door1"))


def test_a_failure_puts_back_what_was_replaced(client, way):
    """Where the second interface refuses, the first has its former program again, the port shut all along."""
    _, options = way
    with ExitStack() as stack, dataplane(**options) as old, dataplane(**options) as new:
        old.attach(DOORS[:1])
        before = attached("door0")
        take_our_place("door1", stack, options)
        with Flood(client) as flood:
            flood.await_more()
            with pytest.raises(DataplaneError, match="door1"):
                new.attach(DOORS)
            flood.await_more()
            assert not flood.arrived()
        assert attached("door0") == before


def test_a_failure_leaves_no_discipline_of_ours():
    """A clsact discipline that an attach has made is gone with what was to hang in it."""
    index = socket.if_nametoindex("door1")
    with program(SCHED_CLS, "foreign", TC_NEXT) as foreign, dataplane(use_tcx=without_tcx) as made:
        libbpf.tc_hook_create(index)
        libbpf.tc_attach(foreign, index, clsact.PLACE)
        with pytest.raises(DataplaneError):
            made.attach(DOORS)
    libbpf.tc_hook_create(socket.if_nametoindex("door0"))


def test_an_interface_that_is_not_there_changes_nothing():
    """An unknown name is an error that lists the known ones, before anything is attached."""
    with dataplane() as made, pytest.raises(DataplaneError, match=r"no interface gone.*door0"):
        made.attach(["door0", "gone"])
    assert attached("door0") == []


def test_an_interface_named_twice_is_attached_once():
    """Naming an interface twice is no mistake and has no consequence."""
    with dataplane() as made:
        assert len(made.attach(["door0", "door0"])) == 1
        assert list(map(name_of, attached("door0"))) == [OURS]


def test_detach_opens_what_was_attached(client, way):
    """After detach the interfaces are as before and packets arrive."""
    _, options = way
    with dataplane(**options) as made:
        made.attach(DOORS)
        made.detach()
        made.detach()
    assert [attached(door) for door in DOORS] == [[], []]
    with Flood(client) as flood:
        until(flood.arrived)


def test_detach_leaves_a_successor_alone(way):
    """A daemon that was replaced must not open the ports of the one that replaced it."""
    _, options = way
    with dataplane(**options) as old, dataplane(**options) as new:
        old.attach(DOORS[:1])
        new.attach(DOORS[:1])
        before = attached("door0")
        old.detach()
        assert attached("door0") == before


def test_detach_without_a_daemon_finds_ours(way):
    """What a loader that is gone left is removed, from one interface or from all, and named."""
    mode, options = way
    with dataplane(**options) as made:
        made.attach(DOORS)
    assert [(a.interface, a.mode) for a in detach(["door1"])] == [("door1", mode)]
    assert [(a.interface, a.mode) for a in detach(None)] == [("door0", mode)]
    assert detach(None) == []
    assert [attached(door) for door in DOORS] == [[], []]


def test_an_interface_that_went_away_does_not_keep_the_others_shut():
    """Detaching goes on where an interface has been deleted meanwhile."""
    with dataplane() as made:
        made.attach(DOORS)
        subprocess.run([shutil.which("ip"), "link", "delete", "door1"], check=True, timeout=10)
        made.detach()
    assert chain("door0") == []
