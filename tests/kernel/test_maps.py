# SPDX-License-Identifier: MIT
"""What user space writes to the policy's maps is what programs and user space read there."""

import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from lab import FLOODED, Flood, doors, settings, until

from spale_bpf import _abi, codec, libbpf
from spale_bpf.dataplane import open_object
from spale_bpf.maps import PolicyMaps
from spale_core.errors import DataplaneError
from spale_core.model import NEVER_NS, Bucket, Grant, KernelTag, Protocol, Reason, Service, Source
from spale_tc.attach import make

pytestmark = pytest.mark.kernel

SSH = Service(Protocol.TCP, 22)
VPN = Service(Protocol.UDP, 51820)
ROOM = settings().max_grants


def grant(number, service=SSH, last_ns=1):
    """Return a grant for the source with this number."""
    return Grant(Source(IPv4Address("10.0.0.0") + number), service, last_ns, 2, 3, NEVER_NS)


@pytest.fixture
def loaded():
    """Return the TC object, loaded with small maps."""
    with open_object("spale_tc", settings()) as opened:
        opened.load()
        yield opened


@pytest.fixture
def maps(loaded):
    """Return the policy's maps of that object."""
    return PolicyMaps(loaded.map_fd, settings())


def services(loaded):
    """Return what is protected, as the programs see it: bits by port."""
    fd = loaded.map_fd("spale_services")
    items = libbpf.map_items(fd, 4, 4)
    return {int.from_bytes(k, "little"): int.from_bytes(v, "little") for k, v in items if any(v)}


def flags(loaded):
    """Return the flags of the settings."""
    value = libbpf.map_lookup(loaded.map_fd("spale_settings"), bytes(4), _abi.SETTINGS.size)
    return int.from_bytes(value[4:8], "little")


sources = st.one_of(
    st.builds(Source, st.ip_addresses(v=4)),
    st.builds(
        Source.arrived,
        st.ip_addresses(v=6).filter(
            lambda address: address.ipv4_mapped is None and not address.is_link_local
        ),
        st.just(3),
    ),
    st.builds(
        Source.arrived,
        st.integers(0, 2**64 - 1).map(lambda host: IPv6Address(0xFE80 << 112 | host)),
        st.integers(1, 2**32 - 1),
    ),
)
moments = st.integers(0, 2**64 - 1)
grants = st.builds(
    Grant, sources, st.builds(Service, st.sampled_from(Protocol), st.integers(1, 65535)), *[moments] * 4
)


@given(grants)
def test_grants_survive_the_way_through_bytes(value):
    """Every grant is the same after encoding and decoding, link-local sources with their interface."""
    assert codec.grant(codec.grant_key(value.source, value.service), codec.grant_value(value)) == value


def test_grants_come_back_from_the_kernel(maps):
    """What was allowed is installed, replaced by a second grant for the same pair, and gone when revoked."""
    link_local = Grant(Source.arrived(IPv6Address("fe80::1"), 7), VPN, 1, 2, 3, 4)
    maps.allow([grant(1), link_local])
    maps.allow([grant(1, last_ns=9)])
    assert set(maps.installed()) == {grant(1, last_ns=9), link_local}
    maps.revoke([(link_local.source, VPN), (link_local.source, VPN), (grant(5).source, SSH)])
    assert maps.installed() == [grant(1, last_ns=9)]


def test_grants_are_allowed_all_or_none(maps):
    """Where not all fit, the map is as before: what was new is gone, what was replaced is back."""
    before = {grant(number) for number in range(ROOM - 1)}
    maps.allow(sorted(before, key=str))
    with pytest.raises(DataplaneError, match="spale_grants is full"):
        maps.allow([grant(0, last_ns=5), grant(100), grant(101)])
    assert set(maps.installed()) == before
    maps.allow([grant(0, last_ns=5), grant(100)])
    assert len(maps.installed()) == ROOM


def test_exactly_the_services_are_protected(maps, loaded):
    """The map has the SPA port and the last services that were set, protocols of one port united."""
    maps.set_services({SSH, VPN, Service(Protocol.UDP, 22), Service(Protocol.TCP, 55555)})
    assert services(loaded) == {22: 3, 51820: 2, 55555: 5}
    maps.set_services({Service(Protocol.UDP, 22)})
    assert services(loaded) == {22: 2, 55555: 4}


def test_exactly_the_tags_are_recognised(maps, loaded):
    """The map has the last tags that were set, and is unchanged where they do not fit."""
    tags = [KernelTag(bytes([number] * 8), bytes(range(16)), number, 99) for number in range(20)]
    maps.set_tags(tags[:4])
    maps.set_tags(tags[2:6])
    fd = loaded.map_fd("spale_tags")
    assert set(libbpf.map_keys(fd, 8)) == {tag.tag for tag in tags[2:6]}
    k0 = int.from_bytes(bytes(range(8)), "little").to_bytes(8, "little")
    assert libbpf.map_lookup(fd, tags[2].tag, 32)[:8] == k0
    with pytest.raises(DataplaneError, match="spale_tags is full"):
        maps.set_tags(tags)
    assert set(libbpf.map_keys(fd, 8)) == {tag.tag for tag in tags[2:6]}


def test_a_tag_renewed_has_its_new_times(maps, loaded):
    """A tag that stays gets the validity that it was set with last: the clock may have been stepped."""
    maps.set_tags([KernelTag(b"same tag", bytes(16), 1, 2)])
    maps.set_tags([KernelTag(b"same tag", bytes(16), 3, 4)])
    value = libbpf.map_lookup(loaded.map_fd("spale_tags"), b"same tag", 32)
    assert _abi.Tag(*_abi.TAG.unpack(value))[2:] == (3, 4)


def test_exactly_the_prefixes_are_always_allowed(maps, loaded):
    """The trie has the last prefixes, and the programs are told whether they need to look at all."""
    fd = loaded.map_fd("spale_allow")
    assert flags(loaded) == 0
    maps.set_always_allow([IPv4Network("10.0.0.0/8"), IPv6Network("::/0")])
    maps.set_always_allow([IPv4Network("10.0.0.0/8"), IPv6Network("2001:db8::/32")])
    assert len(set(libbpf.map_keys(fd, _abi.ALLOW_KEY.size))) == 2
    assert flags(loaded) == _abi.Flag.ALWAYS_ALLOW
    maps.set_always_allow([])
    assert set(libbpf.map_keys(fd, _abi.ALLOW_KEY.size)) == set()
    assert flags(loaded) == 0


def test_buckets_are_read_by_source(maps, loaded):
    """Whose knocks count, and until when; a link-local source has its interface."""
    fd = loaded.map_fd("spale_buckets")
    sources = [
        Source(IPv4Address("192.0.2.7")),
        Source(IPv6Address("2001:db8::")),
        Source(IPv6Address("fe80::"), 3),
    ]
    wanted = {Bucket(source, 10**9 + number) for number, source in enumerate(sources)}
    for bucket in wanted:
        libbpf.map_update(fd, codec.address(bucket.source), bucket.full_ns.to_bytes(8, sys.byteorder))
    assert set(maps.buckets()) == wanted


def test_what_is_browsed_is_still_there():
    """More than one system call's worth; whoever closes the map, or gives up in the middle, harms nobody."""
    sizes = evolve(settings(), max_grants=300)
    grants = [grant(number) for number in range(1, 301)]
    with open_object("spale_tc", sizes) as opened:
        opened.load()
        maps = PolicyMaps(opened.map_fd, sizes)
        maps.allow(grants)
        before = len(list(Path("/proc/self/fd").iterdir()))
        given_up = maps.browse_grants()
        next(given_up)
        unread, browsed = maps.browse_grants(), maps.browse_grants()
        del given_up, unread
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    assert set(browsed) == set(grants)


def test_observing_is_a_flag(loaded):
    """LOG_ONLY reaches the programs, and always-allow does not wipe it out."""
    maps = PolicyMaps(loaded.map_fd, settings(log_only=True))
    maps.set_always_allow([IPv4Network("10.0.0.0/8")])
    assert flags(loaded) == _abi.Flag.LOG_ONLY | _abi.Flag.ALWAYS_ALLOW


def test_the_rate_becomes_a_cost_in_time():
    """A rate per second is the time in which a token grows back; 0 is no limit."""
    value = codec.settings(settings(rate=4, burst=3, session_s=2), always_allow=False)
    assert _abi.Settings(*_abi.SETTINGS.unpack(value))[2:] == (250_000_000, 750_000_000, 2_000_000_000)
    assert codec.settings(settings(rate=0, burst=3), always_allow=False)[8:] == bytes(24)


def test_drops_are_counted_with_their_source():
    """A drop shows up under its reason, with the address that it came from."""
    with doors() as client:
        dataplane = make(settings())
        dataplane.set_services({FLOODED})
        dataplane.attach(["door0"])
        assert dataplane.counters() == {}
        with Flood(client) as flood:
            flood.await_more()
        until(lambda: Reason.NO_GRANT in dataplane.counters())
        assert dataplane.counters()[Reason.NO_GRANT].last_source == Source(IPv4Address("192.0.2.2"))
        dataplane.close()


def test_the_last_source_is_that_of_the_latest_change(maps, loaded):
    """Of several CPUs, the one whose count has changed since the last call names the source."""
    fd, key = loaded.map_fd("spale_counters"), codec.index(8)
    cpus = len(libbpf.map_lookup_percpu(fd, key, _abi.COUNTER.size))
    if cpus < 2:
        pytest.skip("one CPU")

    def count(*pairs):
        values = [number.to_bytes(8, "little") + source.packed for number, source in pairs]
        rest = bytes(_abi.COUNTER.size) * (cpus - len(pairs))
        libbpf.map_update(fd, key, b"".join(values) + rest)
        return maps.counters()[Reason.NO_GRANT]

    first, second = Source(IPv4Address("10.0.0.1")), Source(IPv4Address("10.0.0.2"))
    assert count((5, first), (0, first)) == (counted := codec.Counter(5, first))
    assert count((5, first), (2, second)).last_source == second
    assert count((5, first), (2, second)).last_source == second
    assert count((6, first), (2, second)) == type(counted)(8, first)
