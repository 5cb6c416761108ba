# SPDX-License-Identifier: MIT
"""The tags that the kernel has, and their times."""

from __future__ import annotations

import pytest
from attrs import evolve

from spale_core import epochs
from spale_core.ipc import IpcError, TagBatch
from spale_core.model import Moment, Tag
from spale_core.tagtable import TagTable

S = 1_000_000_000
NOW = Moment(monotonic_ns=500 * S, unix_ms=1_700_000_010_000)
EPOCH = 1_700_000_010 // 30


def tag(client=0, server_key=0, epoch=EPOCH, name=None):
    """Return a tag; by default all differ."""
    return Tag(client, server_key, epoch, name or (1000 * epoch + client).to_bytes(8), bytes(16))


def whole(epoch, *tags):
    """Return a batch that is an epoch."""
    return TagBatch(epoch, tags or (tag(epoch=epoch),), last=True)


@pytest.fixture
def table():
    """Return a table for two clients and one server key."""
    return TagTable(2, 1, 30)


def test_validity_is_the_epoch_and_the_skew_around_it(table):
    """In the kernel's time, which the wall clock's offset gives."""
    table.add(whole(EPOCH))
    (kernel,) = table.kernel_tags(NOW)
    assert (kernel.not_before_ns, kernel.not_after_ns) == (470 * S, 560 * S)


def test_before_the_kernels_birth_is_its_birth(table):
    """Shortly after boot an epoch may have begun before the kernel's clock."""
    early = evolve(NOW, monotonic_ns=5 * S)
    table.add(whole(EPOCH))
    (kernel,) = table.kernel_tags(early)
    assert (kernel.not_before_ns, kernel.not_after_ns) == (0, 65 * S)


def test_an_epoch_counts_when_it_is_whole(table):
    """Half of one is not given to the kernel."""
    table.add(TagBatch(EPOCH, (tag(0),), last=False))
    assert table.kernel_tags(NOW) == []
    table.add(TagBatch(EPOCH, (tag(1),), last=True))
    assert len(table.kernel_tags(NOW)) == 2


def test_old_epochs_go(table):
    """What is wanted no longer is taken out; what is wanted stays."""
    for epoch in epochs.wanted(NOW.unix_ms, 30):
        table.add(whole(epoch))
    assert len(table.kernel_tags(NOW)) == 4
    later = Moment(NOW.monotonic_ns + 60 * S, NOW.unix_ms + 60_000)
    assert len(table.kernel_tags(later)) == 2


def test_stale_means_something_has_changed(table):
    """New tags or a step of the clock; the same epoch again changes nothing."""
    assert table.is_stale(NOW)
    table.kernel_tags(NOW)
    assert not table.is_stale(NOW)
    table.add(whole(EPOCH))
    assert table.is_stale(NOW)
    table.kernel_tags(NOW)
    table.add(whole(EPOCH))
    assert not table.is_stale(NOW)


def test_a_stepped_clock_moves_the_validity(table):
    """The same epoch is valid at another time of the kernel's clock."""
    table.add(whole(EPOCH))
    (before,) = table.kernel_tags(NOW)
    stepped = evolve(NOW, unix_ms=NOW.unix_ms + 10_000)
    assert table.is_stale(stepped)
    (after,) = table.kernel_tags(stepped)
    assert before.not_before_ns - after.not_before_ns == 10 * S


def test_equal_tags_are_one(table):
    """The kernel's map has one entry for a tag."""
    table.add(whole(EPOCH, tag(0, name=b"same tag"), tag(1, name=b"same tag")))
    assert len(table.kernel_tags(NOW)) == 1


@pytest.mark.parametrize(
    "batch",
    [
        whole(EPOCH, tag(client=2)),
        whole(EPOCH, tag(server_key=1)),
        whole(EPOCH, tag(), tag(name=b"another!")),
    ],
    ids=["unknown client", "unknown server key", "two of one client"],
)
def test_tags_that_no_listener_of_ours_sends(table, batch):
    """It has been taken over, and must go."""
    with pytest.raises(IpcError):
        table.add(batch)


def test_epochs_are_not_mixed(table):
    """An epoch that was begun is finished before the next."""
    table.add(TagBatch(EPOCH, (tag(),), last=False))
    with pytest.raises(IpcError):
        table.add(whole(EPOCH + 1))


def test_a_new_listener_begins_anew(table):
    """What the last one left unfinished does not stand in its way; what it finished stays."""
    table.add(whole(EPOCH))
    table.add(TagBatch(EPOCH + 1, (), last=False))
    table.restart()
    table.add(whole(EPOCH + 2))
    assert len(table.kernel_tags(NOW)) == 2


def test_epochs_out_of_reach_are_left_out(table):
    """The clock may have been stepped meanwhile: no crime, but nothing for the kernel."""
    table.add(whole(EPOCH + 100))
    assert table.kernel_tags(NOW) == []


def test_a_clock_that_is_set_and_set_back_costs_no_epoch(table):
    """The listener may have seen nothing of it, and will not tell again what it has told."""
    wanted = epochs.wanted(NOW.unix_ms, 30)
    for epoch in wanted:
        table.add(whole(epoch))
    before = table.kernel_tags(NOW)
    assert table.kernel_tags(evolve(NOW, unix_ms=NOW.unix_ms + 86_400_000)) == []
    assert table.kernel_tags(NOW) == before


def test_the_epochs_that_came_last_are_kept(table):
    """As many as are wanted at most; one that came again is among the last."""
    wanted = epochs.wanted(NOW.unix_ms, 30)
    for epoch in (*wanted, wanted[0], EPOCH + 100, EPOCH + 101):
        table.add(whole(epoch))
    known = {each.tag for each in table.kernel_tags(NOW)}
    assert known == {tag(epoch=epoch).tag for epoch in (wanted[0], wanted[3])}


@pytest.mark.parametrize(("skew_s", "count"), [(1, 3), (30, 4), (120, 10)])
def test_as_many_epochs_as_the_skew_needs(skew_s, count):
    """Now ± skew and the next; at most 12 with the greatest skew that may be configured."""
    assert len(epochs.wanted(NOW.unix_ms, skew_s)) == count
    assert max(len(epochs.wanted(NOW.unix_ms + ms, skew_s)) for ms in range(0, 30_000, 500)) <= count
    assert epochs.most(skew_s) == count


def v1_tag(epoch, client=1, name=b"v1client"):
    """Return a tag without a mac."""
    return Tag(client, 0, epoch, name, b"")


def test_a_tag_without_a_mac_is_valid_in_all_its_epochs():
    """It is the same in each: one entry, from the first epoch's begin to the last one's end."""
    table = TagTable(2, 1, 30, v1_clients=(1,))
    for epoch in epochs.wanted(NOW.unix_ms, 30):
        table.add(whole(epoch, tag(0, epoch=epoch), v1_tag(epoch)))
    *others, kernel = table.kernel_tags(NOW)
    assert (len(others), kernel.tag, kernel.mac_key) == (4, b"v1client", b"")
    assert kernel.not_before_ns == min(each.not_before_ns for each in others)
    assert kernel.not_after_ns == max(each.not_after_ns for each in others)
    later = Moment(NOW.monotonic_ns + 60 * S, NOW.unix_ms + 60_000)
    assert table.kernel_tags(later)[-1].not_before_ns == kernel.not_before_ns + 60 * S


def test_the_same_bytes_with_and_without_a_mac():
    """They are two tags: the kernel tells them apart by the datagram's length."""
    table = TagTable(2, 1, 30, v1_clients=(1,))
    table.add(whole(EPOCH, tag(0, name=b"v1client"), v1_tag(EPOCH)))
    assert [bool(each.mac_key) for each in table.kernel_tags(NOW)] == [True, False]


@pytest.mark.parametrize("batch", [whole(EPOCH, v1_tag(EPOCH, client=0)), whole(EPOCH, tag(1))])
def test_who_has_no_mac_is_the_configurations_to_say(batch):
    """A listener that was taken over cannot have junk let through with the tag of a client that has one."""
    with pytest.raises(IpcError):
        TagTable(2, 1, 30, v1_clients=(1,)).add(batch)
