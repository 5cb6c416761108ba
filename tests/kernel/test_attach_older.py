# SPDX-License-Identifier: MIT
"""What an older spale left: replaced in place, without a moment in which the port is open, maps unread."""

import ctypes
import os
import struct
from contextlib import contextmanager
from importlib import resources
from ipaddress import ip_address

import pytest
from lab import (
    CLIENT,
    DOORS,
    FLOODED,
    SCHED_CLS,
    TC_SHOT,
    XDP,
    XDP_DROP,
    Flood,
    chain,
    doors,
    drops,
    name_of,
    program,
    settings,
    until,
)
from tc_lab import without_tcx
from watch_lab import index

import spale_tc.attach
import spale_xdp.attach
from spale_bpf import _abi, codec, filters, libbpf
from spale_bpf.libbpf import native
from spale_core.model import NEVER_NS, Grant, Source

pytestmark = pytest.mark.kernel

ANOTHER_ABI = 99
ANOTHER_SIZE = _abi.SETTINGS.size + 8
ARRAY = 2
LONG = 3_600_000_000_000


def hang_in_chain(descriptor):
    """Attach by TCX."""
    libbpf.prog_attach(descriptor, index())


def hang_in_filter(priority, handle):
    """Return what attaches by clsact in this place."""

    def hang(descriptor):
        libbpf.tc_hook_create(index())
        libbpf.tc_attach(descriptor, index(), libbpf.ClsactFilter(priority, handle))

    return hang


def hang_in_driver(flags):
    """Return what attaches by XDP."""
    return lambda descriptor: libbpf.xdp_attach(descriptor, index(), flags)


@contextmanager
def tcx():
    """Load the TC enforcer as on a new kernel."""
    with loaded(spale_tc.attach.make(settings())) as made:
        yield made


@contextmanager
def clsact():
    """Load the TC enforcer as on an older kernel."""
    with loaded(spale_tc.attach.make(settings(), use_tcx=without_tcx)) as made:
        yield made


@contextmanager
def xdp():
    """Load the XDP enforcer."""
    with loaded(spale_xdp.attach.make(settings())) as made:
        yield made


@contextmanager
def loaded(made):
    """Protect what is flooded; close at the end."""
    made.set_services({FLOODED})
    try:
        yield made
    finally:
        made.close()


OURS, THE_ORIGINALS = hang_in_filter(1, 0x5350), hang_in_filter(1, 1)
OLDER = {
    "chain to chain": ("spale_tc_eth", SCHED_CLS, TC_SHOT, hang_in_chain, tcx),
    "filter to chain": ("spale_tc_eth", SCHED_CLS, TC_SHOT, OURS, tcx),
    "filter to filter": ("spale_tc_eth", SCHED_CLS, TC_SHOT, OURS, clsact),
    "the original's to chain": ("spale", SCHED_CLS, TC_SHOT, THE_ORIGINALS, tcx),
    "the original's to filter": ("spale", SCHED_CLS, TC_SHOT, THE_ORIGINALS, clsact),
    "the original's, late, to filter": ("spale", SCHED_CLS, TC_SHOT, hang_in_filter(49152, 1), clsact),
    "the original's to xdp": ("spale", SCHED_CLS, TC_SHOT, THE_ORIGINALS, xdp),
    "native": ("spale_xdp", XDP, XDP_DROP, hang_in_driver(libbpf.XDP_FLAGS_DRV_MODE), xdp),
    "generic": ("spale_xdp", XDP, XDP_DROP, hang_in_driver(libbpf.XDP_FLAGS_SKB_MODE), xdp),
    "the original's xdp": ("spale_prog", XDP, XDP_DROP, hang_in_driver(libbpf.XDP_FLAGS_DRV_MODE), xdp),
    "the original's xdp to chain": (
        "spale_prog",
        XDP,
        XDP_DROP,
        hang_in_driver(libbpf.XDP_FLAGS_DRV_MODE),
        tcx,
    ),
}


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


def everything():
    """Return the names of all programs on the first door, however they hang."""
    hung = libbpf.xdp_query(index())
    ids = [found.program_id for found in filters.bpf_filters(index())]
    ids += [number for number in (hung.native, hung.generic) if number]
    return [*chain("door0"), *map(name_of, ids)]


@pytest.mark.parametrize("older", OLDER)
def test_an_older_program_gives_way_without_a_gap(client, older):
    """However either hangs: shut before, shut all along, and only ours is left after."""
    name, kind, result, hang, load = OLDER[older]
    with Flood(client) as flood, load() as made:
        flood.must_arrive()
        with program(kind, name, result) as descriptor:
            hang(descriptor)
        flood.must_not_arrive()
        (attachment,) = made.attach(DOORS[:1])
        assert attachment.replaced
        until(lambda: drops(made) > 0)
        flood.await_more()
        assert not flood.arrived()
        (left,) = everything()
        assert left in {"spale_tc_eth", "spale_xdp"}
        assert made.ensure() == []


def set_value_size(loading, name, size):
    """Make a map's values as large as another ABI has them."""
    function = native.library().bpf_map__set_value_size
    function.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    assert function(loading._map(name), size) == 0


@contextmanager
def of_another_abi():
    """Load our own program with a settings map of another size and version, and a grant for the client."""
    content = (resources.files("spale_bpf") / "objects" / "spale_tc.bpf.o").read_bytes()
    with libbpf.Object.open(content, "older") as older:
        set_value_size(older, "spale_settings", ANOTHER_SIZE)
        older.load()
        libbpf.map_update(older.map_fd("spale_settings"), codec.index(0), settings_of_another_abi())
        bits = codec.service_bits([FLOODED], 55555)
        for port, value in bits.items():
            libbpf.map_update(older.map_fd("spale_services"), codec.index(port), codec.index(value))
        key = codec.grant_key(Source(ip_address(CLIENT)), FLOODED)
        libbpf.map_update(older.map_fd("spale_grants"), key, codec.grant_value(grant()))
        yield older


def settings_of_another_abi(flags=0):
    """Return settings that only their version and their flags can be read of."""
    return struct.pack("=II", ANOTHER_ABI, flags).ljust(ANOTHER_SIZE, b"\0")


def grant():
    """Return one for the client that does not end in the time of a test."""
    return Grant(Source(ip_address(CLIENT)), FLOODED, 1, NEVER_NS, NEVER_NS, NEVER_NS)


@pytest.mark.parametrize("load", [tcx, xdp])
def test_grants_of_another_abi_are_not_read(client, load):
    """Whom an older spale let in has to knock again: shut from the moment of attach, to everybody."""
    with of_another_abi() as older, load() as made, Flood(client) as flood:
        hang_in_chain(older.program_fd("spale_tc_eth"))
        flood.must_arrive()
        assert made.predecessor(DOORS[:1]) is None
        assert made.attach(DOORS[:1])[0].replaced
        flood.must_not_arrive()
        assert list(made.installed()) == []
        made.allow([grant()])
        flood.must_arrive()


def test_a_daemon_of_another_abi_hears_of_a_detach():
    """The flag that tells a daemon of `spale detach` has its place in every ABI."""
    with of_another_abi() as older:
        hang_in_chain(older.program_fd("spale_tc_eth"))
        assert len(spale_tc.attach.detach(["door0"])) == 1
        settings_fd = older.map_fd("spale_settings")
        value = libbpf.map_lookup(settings_fd, codec.index(0), ANOTHER_SIZE)
        assert value == settings_of_another_abi(_abi.Flag.RELEASED)


def test_one_without_settings_is_detached_all_the_same():
    """What the original left has none of our maps, and goes without a word to anybody."""
    descriptor = native.call("a map", "bpf_map_create", ARRAY, b"spale_config", 4, 8, 1, None)
    try:
        load_map = struct.pack("<BBhiBBhi", 0x18, 0x11, 0, descriptor, 0, 0, 0, 0)
        with raw_program("spale", load_map) as original:
            hang_in_chain(original)
            assert libbpf.prog_info(original).map_ids
            assert len(spale_tc.attach.detach(["door0"])) == 1
            assert everything() == []
    finally:
        os.close(descriptor)


@contextmanager
def raw_program(name, before):
    """Load a program that does `before` and drops; yield its descriptor."""
    code = before + struct.pack("<BBhi", 0xB7, 0, 0, TC_SHOT) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    load = (SCHED_CLS, name.encode(), b"GPL", code, len(code) // 8, None)
    descriptor = native.call(name, "bpf_prog_load", *load)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
