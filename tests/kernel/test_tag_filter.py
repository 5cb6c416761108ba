# SPDX-License-Identifier: MIT
"""The bits of tags: exactly those of the tags that are known, and never later than their tags."""

import errno
import itertools
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lab import settings

from spale_bpf import _abi, codec, libbpf
from spale_bpf.dataplane import open_object
from spale_bpf.libbpf.native import library
from spale_bpf.tag_map import TagMap
from spale_core.errors import DataplaneError
from spale_core.model import KernelTag

pytestmark = pytest.mark.kernel

BATCHES = ("bpf_map_update_batch", "bpf_map_delete_batch")
NUMBERS = (1, 1 + 2**20, 1 + 2**60, 2, 2 + 2**20, 64, 2**20 - 1, 2**64 - 1)
"""Of tags; the first three share a bit, so do 2 and its neighbour, and the last two."""


class Kernel:
    """The two maps of a loaded object."""

    def __init__(self, loaded):
        """Look them up."""
        self.fds = loaded.map_fd("spale_tags"), loaded.map_fd("spale_tag_filter")

    def tags(self):
        """Return the tags that are there, with their values."""
        return dict(libbpf.map_items(self.fds[0], 8, _abi.TAG.size))

    def bits(self):
        """Return the numbers of all bits that are set."""
        words = [
            (int.from_bytes(key, sys.byteorder), int.from_bytes(value, sys.byteorder))
            for key, value in libbpf.map_items(self.fds[1], 4, 8)
            if any(value)
        ]
        return {64 * index + bit for index, word in words for bit in range(64) if word >> bit & 1}


def bits_of(keys):
    """Return the numbers of the bits that these tags have."""
    return {int.from_bytes(key, sys.byteorder) % (64 * _abi.TAG_FILTER_WORDS) for key in keys}


def tags(numbers, not_after_ns=2):
    """Return tags with these numbers."""
    return [KernelTag(number.to_bytes(8, sys.byteorder), bytes(16), 1, not_after_ns) for number in numbers]


def values(wanted):
    """Return what the map holds with these tags."""
    return {tag.tag: codec.tag_value(tag) for tag in wanted}


@pytest.fixture
def loaded():
    """Return an object with room for as many tags as there are."""
    with open_object("spale_tc", settings(max_tags=len(NUMBERS))) as opened:
        opened.load()
        yield opened


@contextmanager
def failing_at(kernel, number):
    """Refuse one call that changes elements; after each other one every tag must have its bit."""
    real, calls = {name: getattr(library(), name) for name in BATCHES}, itertools.count()

    def change(name):
        def call(*arguments):
            if next(calls) == number:
                return -errno.EIO
            result = real[name](*arguments)
            assert bits_of(kernel.tags()) <= kernel.bits()
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in BATCHES:
            patch.setattr(library(), name, change(name))
        yield calls


def test_a_bit_is_there_for_each_tag_and_for_no_other(loaded):
    """Also where tags share it and one of them goes."""
    kernel, map_ = Kernel(loaded), TagMap(loaded.map_fd("spale_tags"), loaded.map_fd("spale_tag_filter"))

    @given(st.sets(st.sampled_from(NUMBERS)), st.integers(2, 3))
    def become(numbers, not_after_ns):
        wanted = tags(numbers, not_after_ns)
        with failing_at(kernel, None):
            map_.become(wanted)
        assert kernel.tags() == values(wanted)
        assert kernel.bits() == bits_of(kernel.tags())

    become()


@pytest.mark.parametrize("number", range(5))
def test_whatever_fails_all_is_as_before(loaded, number):
    """Tags and bits, at each step of a change; and the next change is right again."""
    kernel = Kernel(loaded)
    map_ = TagMap(*kernel.fds)
    before, after = tags(NUMBERS[:4]), [*tags(NUMBERS[:1], 9), *tags(NUMBERS[4:6])]
    map_.become(before)
    with failing_at(kernel, number) as calls:
        try:
            map_.become(after)
        except DataplaneError:
            assert kernel.tags() == values(before)
            assert kernel.bits() == bits_of(kernel.tags())
        else:
            assert next(calls) <= number
    map_.become(after)
    assert kernel.tags() == values(after)
    assert kernel.bits() == bits_of(kernel.tags())


def test_tags_that_do_not_fit_leave_no_bit(loaded):
    """A map that is full is as before."""
    kernel = Kernel(loaded)
    map_ = TagMap(*kernel.fds)
    map_.become(tags(NUMBERS))
    with pytest.raises(DataplaneError, match="spale_tags is full"):
        map_.become(tags((*NUMBERS, 3, 77)))
    assert kernel.bits() == bits_of(kernel.tags()) == bits_of(values(tags(NUMBERS)))


def test_only_words_that_change_are_written(loaded):
    """What somebody else did to another word is not even seen."""
    kernel = Kernel(loaded)
    map_ = TagMap(*kernel.fds)
    map_.become(tags([1]))
    libbpf.map_update_all(kernel.fds[1], codec.filter_words({7: 1}))
    map_.become(tags([1, 2, 64]))
    assert kernel.bits() == {1, 2, 64, 7 * 64}
