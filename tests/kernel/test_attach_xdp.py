# SPDX-License-Identifier: MIT
"""The XDP enforcer on real interfaces: native or generic, in place, all or none, never over others."""

import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager

import pytest
from lab import DOORS, FLOODED, XDP, XDP_PASS, Flood, doors, drops, name_of, program, settings, until
from tc_lab import GENERATIONS

from spale_bpf import interface, libbpf
from spale_bpf.takeover import Takeover
from spale_core.errors import DataplaneError
from spale_core.model import AttachMode
from spale_xdp.attach import PROGRAM, XdpHook, detach, make

pytestmark = pytest.mark.kernel

NATIVE, GENERIC = AttachMode.XDP_NATIVE, AttachMode.XDP_GENERIC
JUMBO = 9000
OLD_KERNEL = (5, 5)


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@contextmanager
def dataplane(mode="auto", **options):
    """Load one that drops what floods; closing it leaves its programs attached."""
    made = make(settings(xdp_mode=mode), **options)
    made.set_services({FLOODED})
    try:
        yield made
    finally:
        made.close()


def no_frags():
    """Stand for a kernel before 5.18."""
    return False


def attached(door):
    """Return ids by mode of the programs on a door."""
    found = libbpf.xdp_query(socket.if_nametoindex(door))
    return {mode: number for mode, number in ((NATIVE, found.native), (GENERIC, found.generic)) if number}


def ip(*words):
    """Change a link of the current namespace."""
    subprocess.run([shutil.which("ip"), *words], check=True, timeout=10)


def let_jumbo_frames(client, door, knock):
    """Give both ends of a cable a large MTU."""
    ip("link", "set", door, "mtu", str(JUMBO))
    with client.inside():
        ip("link", "set", knock, "mtu", str(JUMBO))


@pytest.mark.parametrize(("told", "got"), [("auto", NATIVE), ("native", NATIVE), ("generic", GENERIC)])
def test_a_fresh_attach_shuts_the_ports_of_all_interfaces(client, told, got):
    """Each interface has our program in the mode that was asked for, and nothing gets through it."""
    with dataplane(told) as made:
        attachments = made.attach(DOORS)
        assert [(a.interface, a.mode, a.replaced, a.note) for a in attachments] == [
            (door, got, False, "") for door in DOORS
        ]
        assert [list(attached(door)) for door in DOORS] == [[got], [got]]
        with Flood(client) as flood:
            flood.await_more()
            until(lambda: drops(made) > 0)
            assert not flood.arrived()


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_replacing_leaves_no_gap(client, mode):
    """While generation after generation takes over, not one packet of a flood gets through."""
    with ExitStack() as generations, Flood(client) as flood:
        before = None
        for _ in range(GENERATIONS):
            made = generations.enter_context(dataplane(mode))
            (attachment,) = made.attach(DOORS[:1])
            assert attachment.replaced is (before is not None)
            if before is None:
                until(lambda made=made: drops(made) > 0)
                while flood.arrived():
                    pass
            (now,) = attached("door0").values()
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
    assert list(attached("door0")) == [NATIVE]


@pytest.mark.parametrize(("found", "told"), [("generic", "native"), ("native", "generic")])
def test_the_mode_that_is_found_is_kept(found, told):
    """One mode cannot replace the other without a gap, so the old one stays and the note says so."""
    with dataplane(found) as old, dataplane(told) as new:
        (first,) = old.attach(DOORS[:1])
        (second,) = new.attach(DOORS[:1])
        assert second.mode is first.mode
        assert f"XDP_MODE={told}" in second.note
        assert list(attached("door0")) == [first.mode]


def test_a_generic_program_is_taken_over_by_auto_without_a_word():
    """`auto` is content with either mode."""
    with dataplane("generic") as old, dataplane("auto") as new:
        old.attach(DOORS[:1])
        (attachment,) = new.attach(DOORS[:1])
        assert (attachment.mode, attachment.replaced, attachment.note) == (GENERIC, True, "")


@pytest.mark.parametrize("flags", [libbpf.XDP_FLAGS_DRV_MODE, libbpf.XDP_FLAGS_SKB_MODE])
def test_a_foreign_program_is_refused_by_id_and_name(flags):
    """Where somebody else's XDP program is, ours is not attached in any mode."""
    with program(XDP, "xdp_balancer", XDP_PASS) as foreign, dataplane() as made:
        libbpf.xdp_attach(foreign, socket.if_nametoindex("door0"), flags)
        number = libbpf.prog_info(foreign).id
        with pytest.raises(DataplaneError, match=rf"door0 .*xdp_balancer \(program {number}\)"):
            made.attach(DOORS[:1])
        assert list(attached("door0").values()) == [number]
        assert detach(None) == []
        assert list(attached("door0").values()) == [number]


def test_the_originals_program_is_taken_over():
    """A program called spale-something is replaced in place."""
    with program(XDP, "spale_prog", XDP_PASS) as original, dataplane() as made:
        libbpf.xdp_attach(original, socket.if_nametoindex("door0"), libbpf.XDP_FLAGS_DRV_MODE)
        assert made.attach(DOORS[:1])[0].replaced
        assert name_of(attached("door0")[NATIVE]) == PROGRAM


def test_a_failure_takes_back_what_was_new():
    """Where the second interface refuses, the first has nothing of ours."""
    with program(XDP, "foreign", XDP_PASS) as foreign, dataplane() as made:
        libbpf.xdp_attach(foreign, socket.if_nametoindex("door1"), libbpf.XDP_FLAGS_SKB_MODE)
        with pytest.raises(DataplaneError, match="door1"):
            made.attach(DOORS)
        assert attached("door0") == {}


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_a_failure_puts_back_what_was_replaced(client, mode):
    """Where the second interface refuses, the first has its former program again, the port shut all along."""
    with program(XDP, "foreign", XDP_PASS) as foreign, dataplane(mode) as old, dataplane(mode) as new:
        libbpf.xdp_attach(foreign, socket.if_nametoindex("door1"), libbpf.XDP_FLAGS_SKB_MODE)
        old.attach(DOORS[:1])
        before = attached("door0")
        with Flood(client) as flood:
            until(lambda: drops(old) > 0)
            while flood.arrived():
                pass
            with pytest.raises(DataplaneError, match="door1"):
                new.attach(DOORS)
            flood.await_more()
            assert not flood.arrived()
        assert attached("door0") == before


def test_what_is_no_ethernet_device_needs_tc():
    """The loopback device is refused with the remedy."""
    with dataplane() as made, pytest.raises(DataplaneError, match=r"lo is no Ethernet device.*use tc"):
        made.attach(["lo"])


def test_jumbo_frames_without_frags_support_fall_back_to_generic(client):
    """Where the driver refuses a program that knows single buffers only, `auto` says why it is generic."""
    let_jumbo_frames(client, "door0", "knock0")
    with dataplane(has_frags=no_frags) as made:
        (attachment,) = made.attach(DOORS[:1])
        assert attachment.mode is GENERIC
        assert "native: " in attachment.note
        assert "MTU" in attachment.note


def test_jumbo_frames_without_frags_support_refuse_native(client):
    """Who insists on native is told the driver's reason, and nothing is attached."""
    let_jumbo_frames(client, "door0", "knock0")
    with dataplane("native", has_frags=no_frags) as made, pytest.raises(DataplaneError, match="MTU"):
        made.attach(DOORS[:1])
    assert attached("door0") == {}


def test_jumbo_frames_with_frags_support_stay_native(client):
    """A kernel that knows frames of several buffers runs the program natively, and it enforces."""
    if not libbpf.xdp_frags_supported():
        pytest.skip("this kernel knows no XDP fragments")
    let_jumbo_frames(client, "door0", "knock0")
    with dataplane() as made, Flood(client):
        (attachment,) = made.attach(DOORS[:1])
        assert (attachment.mode, attachment.note) == (NATIVE, "")
        until(lambda: drops(made) > 0)


def test_old_kernels_are_refused_generic():
    """Before Linux 5.6 cloned packets bypass generic XDP, so it is no protection there."""
    door = interface.find("door0")
    with program(XDP, PROGRAM, XDP_PASS) as ours:
        hook = XdpHook(ours, "generic", OLD_KERNEL)
        with pytest.raises(DataplaneError, match=r"before 5\.6"), Takeover() as takeover:
            hook.attach(door, takeover)
    assert attached("door0") == {}


def test_old_kernels_do_not_go_on_with_generic():
    """A generic program that is there is no reason to rely on it: refused, and left as it is."""
    door = interface.find("door0")
    with program(XDP, PROGRAM, XDP_PASS) as old, program(XDP, PROGRAM, XDP_PASS) as new:
        libbpf.xdp_attach(old, door.index, libbpf.XDP_FLAGS_SKB_MODE)
        with pytest.raises(DataplaneError, match=r"before 5\.6"), Takeover() as takeover:
            XdpHook(new, "auto", OLD_KERNEL).attach(door, takeover)
        assert attached("door0") == {GENERIC: libbpf.prog_info(old).id}


def replace_and_fail(hook, door):
    """Replace what is attached, then meet an error."""
    before = attached(door.name)
    with Takeover() as takeover:
        assert hook.attach(door, takeover).replaced
        assert attached(door.name) != before
        raise DataplaneError("on purpose")


def test_old_kernels_replace_without_naming_the_predecessor():
    """Before Linux 5.7 netlink knows no expected program; replacing, taking back and detaching still work."""
    door = interface.find("door0")
    with program(XDP, PROGRAM, XDP_PASS) as old, program(XDP, PROGRAM, XDP_PASS) as new:
        with Takeover() as takeover:
            XdpHook(old, "native", OLD_KERNEL).attach(door, takeover)
        before = attached("door0")
        with pytest.raises(DataplaneError, match="on purpose"):
            replace_and_fail(XdpHook(new, "native", OLD_KERNEL), door)
        assert attached("door0") == before


def test_detach_opens_what_was_attached(client):
    """After detach the interfaces are as before and packets arrive."""
    with dataplane() as made:
        made.attach(DOORS)
        made.detach()
        made.detach()
    assert [attached(door) for door in DOORS] == [{}, {}]
    with Flood(client) as flood:
        until(flood.arrived)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_detach_leaves_a_successor_alone(mode):
    """A daemon that was replaced must not open the ports of the one that replaced it."""
    with dataplane(mode) as old, dataplane(mode) as new:
        old.attach(DOORS[:1])
        new.attach(DOORS[:1])
        before = attached("door0")
        old.detach()
        assert attached("door0") == before


@pytest.mark.parametrize("mode", [NATIVE, GENERIC])
def test_detach_without_a_daemon_finds_ours(mode):
    """What a loader that is gone left is removed, from one interface or from all, and named."""
    with dataplane(mode.value) as made:
        made.attach(DOORS)
    assert [(a.interface, a.mode) for a in detach(["door1"])] == [("door1", mode)]
    assert [(a.interface, a.mode) for a in detach(None)] == [("door0", mode)]
    assert detach(None) == []
    assert [attached(door) for door in DOORS] == [{}, {}]
