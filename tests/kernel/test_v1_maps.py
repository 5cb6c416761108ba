# SPDX-License-Identifier: MIT
"""What user space writes for version 1 of the datagram: its own tags and buckets, beside version 2's."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from lab import settings

from spale_bpf import _abi, codec, libbpf
from spale_bpf.dataplane import open_object
from spale_bpf.maps import PolicyMaps
from spale_core.errors import DataplaneError
from spale_core.model import NEVER_NS, Bucket, KernelTag, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

ROOM = 4
ON = settings(max_v1_tags=ROOM)


@pytest.fixture
def loaded() -> Iterator[libbpf.Object]:
    """Return the TC object, loaded with room for a few tags of version 1."""
    with open_object("spale_tc", ON) as opened:
        opened.load()
        yield opened


@pytest.fixture
def maps(loaded: libbpf.Object) -> PolicyMaps:
    """Return the policy's maps of that object."""
    return PolicyMaps(loaded.map_fd, ON)


def v1(number: int) -> KernelTag:
    """Return a tag without a mac."""
    return KernelTag(bytes([number] * 8), b"", number, NEVER_NS)


def v2(number: int) -> KernelTag:
    """Return a tag with one."""
    return evolve(v1(number), mac_key=bytes(range(16)))


def known(loaded: libbpf.Object) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Return the tags of version 1 with their values, and the others."""
    fds = [loaded.map_fd(name) for name in ("spale_v1_tags", "spale_tags")]
    return dict(libbpf.map_items(fds[0], 8, _abi.V1_TAG.size)), set(libbpf.map_keys(fds[1], 8))


def test_each_tag_is_in_its_own_map(maps: PolicyMaps, loaded: libbpf.Object) -> None:
    """The same 8 bytes may be in both, with their own validity; what is no longer set goes from both."""
    maps.set_tags([v1(1), v2(1), v2(2), v1(3)])
    maps.set_tags([v2(1), v1(1), v1(4)])
    values = {
        v1(number).tag: _abi.V1_TAG.pack(number, _abi.V1_TAG.unpack(b"\xff" * 16)[0]) for number in (1, 4)
    }
    assert known(loaded) == (values, {v2(1).tag})


@pytest.mark.parametrize(
    "too_many", [[v1(number) for number in range(9)], [v1(7), *(v2(number) for number in range(20, 40))]]
)
def test_all_tags_or_none(maps: PolicyMaps, loaded: libbpf.Object, too_many: list[KernelTag]) -> None:
    """Where those of one version do not fit, those of the other stay as they were too."""
    maps.set_tags([v1(1), v2(2)])
    before = known(loaded)
    with pytest.raises(DataplaneError, match="is full"):
        maps.set_tags(too_many)
    assert known(loaded) == before


@pytest.mark.parametrize(("room", "is_on"), [(0, False), (ROOM, True)])
def test_room_for_tags_turns_it_on(room: int, *, is_on: bool) -> None:
    """The programs are told by a flag."""
    value = codec.settings(settings(max_v1_tags=room), always_allow=False)
    assert (_abi.Flag.V1 in _abi.Flag(_abi.Settings(*_abi.SETTINGS.unpack(value)).flags)) == is_on


def test_its_buckets_are_read_by_source(maps: PolicyMaps, loaded: libbpf.Object) -> None:
    """Beside those of version 2; a source has one for each tag."""
    here, there = Source(IPv4Address("192.0.2.7")), Source(IPv6Address("fe80::"), 3)
    wanted = [Bucket(here, 10), Bucket(here, 20), Bucket(there, 30), Bucket(here, 40)]
    for number, bucket in enumerate(wanted[:3]):
        key = _abi.V1_BUCKET_KEY.pack(codec.address(bucket.source), number)
        full_ns = bucket.full_ns.to_bytes(8, sys.byteorder)
        libbpf.map_update(loaded.map_fd("spale_v1_buckets"), key, full_ns)
    libbpf.map_update(
        loaded.map_fd("spale_buckets"), codec.address(here), wanted[3].full_ns.to_bytes(8, sys.byteorder)
    )
    assert sorted(maps.buckets(), key=lambda bucket: bucket.full_ns) == wanted
