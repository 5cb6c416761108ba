# SPDX-License-Identifier: MIT
"""What can become of a clsact filter, and that it is put back: first again, or as far in front as can be."""

import pytest
from lab import DOORS, TC_NEXT, TC_OK, Flood, command, doors
from tc_lab import OURS, attached, dataplane, without_tcx
from watch_lab import BEFORE_OURS, BEHIND_OURS, described, foreign, index, names, refused, repaired, take_off

from spale_bpf import filters, libbpf
from spale_core.errors import DataplaneError
from spale_core.model import AttachMode
from spale_tc import clsact

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@pytest.fixture
def flood(client):
    """Return a flood whose packets are on their way."""
    with Flood(client) as running:
        yield running


def test_a_filter_deleted_by_tc_is_back(flood):
    """`tc filter del` of our very filter is undone, and filters of others are still there."""
    with dataplane(use_tcx=without_tcx) as made:
        made.attach(DOORS[:1])
        with foreign(AttachMode.CLSACT, TC_NEXT, BEHIND_OURS):
            filter_id = ("pref", "1", "handle", hex(clsact.PLACE.handle), "bpf")
            command("tc", "filter", "del", "dev", "door0", "ingress", *filter_id)
            flood.must_arrive()
            assert repaired(made) == [f"{described('foreign')}, priority 2 handle 0x1 without ours"]
            flood.must_not_arrive()
            assert names() == [OURS, "foreign"]


def test_our_filter_keeps_its_place():
    """After others got before it, ours is the first again and still where a later start looks for it."""
    with dataplane(use_tcx=without_tcx) as made:
        made.attach(DOORS[:1])
        with foreign(AttachMode.CLSACT, TC_NEXT):
            assert len(repaired(made)) == 1
            assert [found.place for found in filters.bpf_filters(index())] == [clsact.PLACE, BEFORE_OURS]


def test_a_foreign_filter_in_our_place_stays_and_ours_is_before_it(flood):
    """Whoever takes priority and handle of ours while it is gone keeps them; ours is put before it."""
    with dataplane(use_tcx=without_tcx) as made:
        made.attach(DOORS[:1])
        take_off(AttachMode.CLSACT)
        libbpf.tc_hook_create(index())
        with foreign(AttachMode.CLSACT, TC_OK, clsact.PLACE):
            flood.must_arrive()
            assert len(repaired(made)) == 1
            flood.must_not_arrive()
            assert names() == [OURS, "foreign"]
            with foreign(AttachMode.CLSACT, TC_OK):
                assert len(repaired(made)) == 1
                flood.must_not_arrive()
                assert names() == [OURS, "foreign", "foreign"]


SOMEBODY = ("match", "u32", "0xffffffff", "0xffffffff", "at", "12")
OTHERS = {
    "a u32 filter": ("protocol", "all", "pref", "1", "u32", *SOMEBODY, "flowid", "1:1"),
    "a bpf filter": ("protocol", "ip", "pref", "1", "bpf", "bytecode", "1,6 0 0 0"),
}
"""Filters that let every packet of the flood go on, and bar ours from their priority."""


@pytest.mark.parametrize("kind", OTHERS)
def test_where_the_first_priority_is_closed_ours_hangs_behind(flood, kind):
    """A foreign filter that bars ours from priority 1 is not removed; ours is put behind it, and said."""
    with dataplane(use_tcx=without_tcx) as made:
        made.attach(DOORS[:1])
        take_off(AttachMode.CLSACT)
        command("tc", "qdisc", "add", "dev", "door0", "clsact")
        command("tc", "filter", "add", "dev", "door0", "ingress", *OTHERS[kind])
        flood.must_arrive()
        for _ in range(2):
            note = refused(made)
            assert f"{kind}, priority 1" in note
            flood.must_not_arrive()
            assert names() == [OURS]
        command("tc", "filter", "del", "dev", "door0", "ingress", *OTHERS[kind][:4])
        assert made.ensure() == []
        flood.must_not_arrive()


@pytest.mark.parametrize("kind", OTHERS)
def test_a_start_says_which_filter_closes_the_first_priority(kind):
    """At a start the same is an error that names the filter and the way out, and nothing is attached."""
    command("tc", "qdisc", "add", "dev", "door0", "clsact")
    command("tc", "filter", "add", "dev", "door0", "ingress", *OTHERS[kind])
    with dataplane(use_tcx=without_tcx) as made:
        with pytest.raises(DataplaneError, match=rf"door0: {kind}.*tc filter show"):
            made.attach(DOORS[:1])
        assert attached("door0") == []


def test_a_filter_without_a_loaded_program_is_overtaken_too(flood):
    """Classic BPF, which has no id, in our priority and before ours: ours is the first again."""
    with dataplane(use_tcx=without_tcx) as made:
        made.attach(DOORS[:1])
        accept = ("pref", "1", "bpf", "bytecode", "1,6 0 0 1", "flowid", "1:1")
        command("tc", "filter", "add", "dev", "door0", "ingress", *accept)
        flood.must_arrive()
        (found,) = repaired(made)
        assert found.startswith("a bpf filter, priority 1 ")
        flood.must_not_arrive()
        assert [each.program_id != 0 for each in filters.all_filters(index())] == [True, False]


def test_filters_in_other_chains_are_not_before_ours():
    """A filter that a packet meets only if another one sends it there does not count as the first."""
    with dataplane(use_tcx=without_tcx) as made:
        command("tc", "qdisc", "add", "dev", "door0", "clsact")
        elsewhere = ("chain", "5", "pref", "1", "bpf", "bytecode", "1,6 0 0 0")
        command("tc", "filter", "add", "dev", "door0", "ingress", *elsewhere)
        made.attach(DOORS[:1])
        assert made.ensure() == []
