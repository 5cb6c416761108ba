# SPDX-License-Identifier: MIT
"""The listener's decisions: datagrams in, messages out, and no exception whatever comes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from spale_core.engine import MAX_SEEN, Engine, Rules, Scheme
from spale_core.errors import PluginError
from spale_core.ipc import TAGS_PER_BATCH
from spale_core.model import Claim, Datagram, Moment, Reason, Service, Source, Tag

NOW = Moment(monotonic_ns=5_000_000_000, unix_ms=1_700_000_010_000)  # an epoch begins here
EPOCH = 1_700_000_010 // 30
SOURCE = Source(ip_address("192.0.2.7"))
FIRST_SOURCE = Source(ip_address("192.0.2.1"))
ETH0, ETH1 = 2, 3


class Words:
    """An authenticator of one-byte datagrams: a letter is a claim with that `enc`, a digit is trouble."""

    length = 1

    def __init__(self, clients=1):
        """Know that many clients."""
        self.clients = clients
        self.asked = []

    def tags(self, epoch):
        """Yield a tag for each client."""
        self.asked.append(epoch)
        for client in range(self.clients):
            yield Tag(client, 0, epoch, client.to_bytes(8), bytes(16))

    def authenticate(self, datagram, seen):
        """Say what the byte says."""
        letter = datagram.payload
        if letter == b"0":
            raise RuntimeError("a plugin's bug")
        if letter == b"6":
            raise PermissionError
        if letter == b"1":
            return Reason.BAD_MAC
        enc = letter * (31 if letter == b"2" else 32)
        if enc in seen:
            return Reason.REPLAY
        source = FIRST_SOURCE if letter == b"3" else datagram.source
        count = 9 if letter == b"4" else 0
        services = frozenset(Service(6, port) for port in range(1, count + 1))
        client = 7 if letter == b"5" else 0
        return Claim(client, enc, NOW.unix_ms, source, letter.isupper(), services, 0)


def engine(*authenticators, seen=(), binding=False, clients=None):
    """Return an engine for the interface ETH0."""
    chosen = authenticators or (Words(),)
    schemes = [Scheme(each, clients or tuple(range(each.clients))) for each in chosen]
    return Engine(schemes, Rules(frozenset({ETH1}), 30, binding), dict(seen))


def datagram(payload, ifindex=ETH0):
    """Return a datagram from SOURCE."""
    return Datagram(payload, SOURCE, 40000, ifindex)


def reason(message):
    """Return the reason of a refusal."""
    return message.reason


def test_a_good_datagram_becomes_a_claim():
    """What the authenticator read goes to the monitor."""
    claim = engine().receive(datagram(b"A"), NOW)
    assert (claim.client, claim.enc, claim.source) == (0, b"A" * 32, SOURCE)


def test_a_reason_becomes_a_refusal():
    """What it refused goes there too, with the source."""
    refused = engine().receive(datagram(b"1"), NOW)
    assert (refused.reason, refused.source, refused.count) == (Reason.BAD_MAC, SOURCE, 1)


def test_interfaces_that_are_not_protected():
    """A datagram from elsewhere is not even looked at."""
    assert reason(engine().receive(datagram(b"A", ETH1), NOW)) is Reason.INTERFACE
    assert reason(engine().receive(datagram(b"A", 0), NOW)) is Reason.INTERFACE


def test_the_monitor_hears_where_a_datagram_arrived():
    """One that came after the listener was born may be guarded by now, which only the monitor knows."""
    assert engine().receive(datagram(b"A"), NOW).ifindex == ETH0
    assert engine().receive(datagram(b"A", 77), NOW).ifindex == 77


@pytest.mark.parametrize("payload", [b"", b"AB"])
def test_lengths_that_nobody_understands(payload):
    """A length that no authenticator has is refused by its length."""
    assert reason(engine().receive(datagram(payload), NOW)) is Reason.SPA_LENGTH


def test_a_call_that_is_refused_is_counted():
    """A plugin that lets the kernel's EPERM out costs its datagrams, and is no bug like any other."""
    judge = engine()
    for _ in range(3):
        assert judge.receive(datagram(b"6"), NOW) is None or judge.denials == 1
    assert (judge.denials, type(judge.denied), judge.bug) == (3, PermissionError, None)


@pytest.mark.parametrize("payload", [b"0", b"2", b"3", b"4", b"5"])
def test_a_plugins_bug_is_a_refusal(payload):
    """An exception, a short identity, a foreign source, too many services, an unknown client: internal."""
    judge = engine()
    assert reason(judge.receive(datagram(payload), NOW)) is Reason.INTERNAL
    assert judge.bug is not None


def test_the_second_copy_is_a_replay():
    """And says who came first."""
    judge = engine()
    judge.receive(datagram(b"A"), NOW)
    again = judge.receive(Datagram(b"A", FIRST_SOURCE, 1, ETH0), NOW)
    assert (again.reason, again.source, again.first_source) == (Reason.REPLAY, FIRST_SOURCE, SOURCE)


def test_what_the_monitor_knows_is_a_replay():
    """A new listener knows the identities from before its start, with or without their sources."""
    judge = engine(seen={b"A" * 32: FIRST_SOURCE, b"B" * 32: None})
    assert judge.receive(datagram(b"A"), NOW).first_source == FIRST_SOURCE
    later = Moment(NOW.monotonic_ns + 10**9, NOW.unix_ms)
    assert judge.receive(datagram(b"B"), later).first_source is None


def test_the_listeners_memory_is_bounded():
    """The oldest identity goes first; the monitor still knows it."""
    judge = engine(seen={number.to_bytes(32): None for number in range(MAX_SEEN)})
    judge.receive(datagram(b"A"), NOW)
    assert len(judge._seen) == MAX_SEEN
    assert reason(judge.receive(datagram(b"A"), NOW)) is Reason.REPLAY


def test_binding_may_be_required():
    """Then an unbound datagram is refused, with its client."""
    judge = engine(binding=True)
    assert isinstance(judge.receive(datagram(b"A"), NOW), Claim)
    refused = judge.receive(datagram(b"a"), NOW)
    assert (refused.reason, refused.client) == (Reason.UNBOUND, 0)


def test_refusals_are_summed_up():
    """One at once, the rest of the second as one."""
    judge = engine()
    told = [judge.receive(datagram(b"1"), NOW) for _ in range(5)]
    assert [message is None for message in told] == [False, True, True, True, True]
    assert judge.summaries(NOW) == []
    (summary,) = judge.summaries(Moment(NOW.monotonic_ns + 10**9, NOW.unix_ms + 1000))
    assert (summary.reason, summary.count) == (Reason.BAD_MAC, 4)


def test_indices_are_those_of_all_clients():
    """A scheme that has only some of the clients counts them from 0; the monitor does not."""
    judge = engine(Words(clients=2), clients=(3, 5))
    assert judge.receive(datagram(b"A"), NOW).client == 3
    assert [tag.client for tag in judge.next_tags(NOW).tags] == [3, 5]


def epochs_sent(judge, now):
    """Return the epochs of all batches that are due."""
    sent = []
    while (batch := judge.next_tags(now)) is not None:
        assert batch.last
        sent.append(batch.epoch)
    return sent


def test_tags_cover_the_window_and_the_next_epoch():
    """At an epoch's beginning: the one before (skew), this one, the one that skew reaches, and the next."""
    assert epochs_sent(engine(), NOW) == [EPOCH - 1, EPOCH, EPOCH + 1, EPOCH + 2]


def test_each_epoch_is_sent_once():
    """As time passes only the new one is sent; after a step of the clock, what is wanted then."""
    judge = engine()
    epochs_sent(judge, NOW)
    assert epochs_sent(judge, Moment(0, NOW.unix_ms + 29_999)) == []
    assert epochs_sent(judge, Moment(0, NOW.unix_ms + 30_000)) == [EPOCH + 3]
    back = Moment(0, NOW.unix_ms - 3_600_000)
    assert epochs_sent(judge, back) == [EPOCH - 121, EPOCH - 120, EPOCH - 119, EPOCH - 118]
    assert epochs_sent(judge, NOW) == [EPOCH - 1, EPOCH, EPOCH + 1, EPOCH + 2]


def test_many_tags_come_in_batches():
    """The last batch of an epoch says so, and none is empty but that of no clients."""
    judge = engine(Words(clients=TAGS_PER_BATCH + 1))
    first, second = judge.next_tags(NOW), judge.next_tags(NOW)
    assert (first.epoch, len(first.tags), first.last) == (EPOCH - 1, TAGS_PER_BATCH, False)
    assert (second.epoch, len(second.tags), second.last) == (EPOCH - 1, 1, True)
    assert engine(Words(clients=0)).next_tags(NOW).last


def test_a_plugin_with_bad_tags_ends_the_listener():
    """It would otherwise run without being able to let anybody through."""

    class Short(Words):
        def tags(self, epoch):
            return [Tag(0, 0, epoch, b"short", bytes(16))]

    with pytest.raises(PluginError):
        engine(Short()).next_tags(NOW)
