# SPDX-License-Identifier: MIT
"""Many elements at once, on kernels that can do so and on those that cannot; and tags, which are many."""

import errno

import pytest
from attrs import evolve
from lab import settings

from spale_bpf import codec, libbpf
from spale_bpf.dataplane import open_object
from spale_bpf.libbpf.native import library
from spale_bpf.tag_map import TagMap
from spale_core.errors import DataplaneError
from spale_core.model import KernelTag

pytestmark = pytest.mark.kernel

ROOM = 10_000
MANY = {number.to_bytes(8, "little"): number.to_bytes(32, "little") for number in range(9_000)}


@pytest.fixture(params=[None, errno.EINVAL, errno.EOPNOTSUPP, 524], ids=["now", "5.5", "none", "other"])
def loaded(request, monkeypatch):
    """Return an object for many tags; the kernel refuses batches with this number, if there is one."""
    if request.param is not None:
        for name in ("bpf_map_update_batch", "bpf_map_delete_batch"):
            monkeypatch.setattr(library(), name, lambda *_: -request.param)
    with open_object("spale_tc", settings(max_tags=ROOM)) as opened:
        opened.load()
        yield opened


@pytest.fixture
def fd(loaded):
    """Return the map of tags."""
    return loaded.map_fd("spale_tags")


@pytest.fixture
def map_(loaded, fd):
    """Return what writes it."""
    return TagMap(fd, loaded.map_fd("spale_tag_filter"))


def held(fd):
    """Return what the map holds."""
    return dict(libbpf.map_items(fd, 8, 32))


def test_all_are_written_and_removed(fd):
    """More than one call's worth; what is there is replaced, what is not there need not be removed."""
    libbpf.map_update_all(fd, MANY)
    assert held(fd) == MANY
    changed = {key: bytes(32) for key in list(MANY)[:5_000]}
    libbpf.map_update_all(fd, changed)
    assert held(fd) == MANY | changed
    gone = list(MANY)[1:]
    libbpf.map_delete(fd, gone[4_200])
    libbpf.map_delete_all(fd, gone)
    assert list(held(fd)) == list(MANY)[:1]
    libbpf.map_update_all(fd, {})
    libbpf.map_delete_all(fd, [])


def test_a_full_map_says_so(fd):
    """With the kernel's errno."""
    libbpf.map_update_all(fd, MANY)
    with pytest.raises(libbpf.LibbpfError) as full:
        libbpf.map_update_all(fd, {number.to_bytes(8, "big"): bytes(32) for number in range(1, ROOM)})
    assert full.value.number == errno.E2BIG


def tags(*numbers):
    """Return tags with these numbers."""
    return [KernelTag(number.to_bytes(8, "big"), bytes(16), 1, 2) for number in numbers]


def in_kernel(*wanted):
    """Return what a map with these tags holds."""
    return {tag.tag: codec.tag_value(tag) for tag in wanted}


def test_a_tag_map_that_is_full_is_as_before(fd, map_):
    """What was new is gone, what was replaced is back, nothing was removed; and after that it works on."""
    before = tags(*range(6_000))
    map_.become(before)
    moved = [evolve(tag, not_after_ns=9) for tag in before[:100]]
    with pytest.raises(DataplaneError, match="spale_tags is full"):
        map_.become([*moved, *tags(*range(6_000, 12_000))])
    assert held(fd) == in_kernel(*before)
    map_.become([*moved, *before[100:150]])
    assert held(fd) == in_kernel(*moved, *before[100:150])


def test_only_what_has_changed_is_written(fd, map_):
    """The very same tags cost nothing: what somebody else did to one of them is not even seen."""
    before = tags(1, 2)
    map_.become(before)
    libbpf.map_delete(fd, before[0].tag)
    map_.become([*before, *tags(3)])
    assert held(fd) == in_kernel(*before[1:], *tags(3))
