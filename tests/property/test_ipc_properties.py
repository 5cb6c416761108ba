# SPDX-License-Identifier: MIT
"""What is encoded decodes to the same; anything else is an IpcError and nothing worse."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from spale_core import ipc
from spale_core.model import Claim, Protocol, Refused, Service, Source, Tag

U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
SERVICES = st.builds(Service, st.sampled_from(Protocol), st.integers(1, 65535))
SOURCES = st.builds(Source.arrived, st.ip_addresses(), st.integers(1, 2**32 - 1))
CLAIMS = st.builds(
    Claim,
    client=U32,
    enc=st.binary(min_size=32, max_size=32),
    unix_ms=U64,
    source=SOURCES,
    bound=st.booleans(),
    services=st.frozensets(SERVICES, max_size=8),
    idle_s=U16,
    ifindex=U32,
)
REFUSALS = st.builds(
    Refused,
    reason=st.sampled_from(ipc.LISTENER_REASONS),
    source=SOURCES,
    client=st.none() | U32,
    count=st.integers(1, 2**32 - 1),
    first_source=st.none() | SOURCES,
)


@st.composite
def tag_batches(draw):
    """Draw a batch of one epoch."""
    epoch = draw(U64)
    tags = st.builds(
        Tag,
        client=U32,
        server_key=U16,
        epoch=st.just(epoch),
        tag=st.binary(min_size=8, max_size=8),
        mac_key=st.just(b"") | st.binary(min_size=16, max_size=16),
    )
    return ipc.TagBatch(epoch, tuple(draw(st.lists(tags, max_size=ipc.TAGS_PER_BATCH))), draw(st.booleans()))


MESSAGES = st.one_of(st.just(ipc.Ready()), st.just(ipc.Alive()), CLAIMS, REFUSALS, tag_batches())


@given(MESSAGES)
def test_what_is_encoded_decodes_to_the_same(message):
    """Every message comes through whole, in at most MAX_LENGTH bytes."""
    record = ipc.encode(message)
    assert len(record) <= ipc.MAX_LENGTH
    assert ipc.decode(record) == message


@given(MESSAGES, st.data())
def test_another_length_is_no_message(message, data):
    """A byte more or less is refused, for every type."""
    record = ipc.encode(message)
    cut = data.draw(st.integers(0, len(record) - 1))
    for wrong in (record[:cut], record + b"\0"):
        with suppress(ipc.IpcError):
            raise AssertionError(ipc.decode(wrong))


@given(st.binary(max_size=ipc.MAX_LENGTH + 1))
def test_noise_raises_nothing_but_our_error(record):
    """A listener that was taken over cannot make the monitor fall over."""
    with suppress(ipc.IpcError):
        ipc.decode(record)


@given(MESSAGES, st.data())
def test_there_is_one_form_for_each_message(message, data):
    """A record with a changed byte is no message, or another one in its only form."""
    record = bytearray(ipc.encode(message))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ipc.IpcError):
        changed = ipc.decode(bytes(record))
        assert changed != message
        if not isinstance(changed, Claim):  # the order of services is free
            assert ipc.encode(changed) == record


def test_a_source_has_one_form():
    """An interface beside an address that needs none is refused."""
    claim = Claim(0, bytes(32), 1, Source(IPv6Address("2001:db8::1"), 7), False, frozenset(), 0)  # noqa: FBT003 - in order
    with suppress(ipc.IpcError):
        raise AssertionError(ipc.decode(ipc.encode(claim)))
