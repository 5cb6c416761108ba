# SPDX-License-Identifier: MIT
"""Datagrams that are not good: nothing opens, nothing answers, one reason is logged."""

from __future__ import annotations

import time

import pytest

from spale_core.model import EPOCH_S, Source
from spale_crypto_hpke import wire

LENGTH = 128
TAG = range(8)
BODY = range(16, LENGTH)


def _flip(payload, position):
    return bytes(byte ^ (place == position) for place, byte in enumerate(payload))


def test_a_flipped_byte_at_each_position(guarded, family):
    """Of 128 datagrams with one byte changed the kernel drops every one; the true one opens."""
    guest = guarded.guest(family)
    true = guarded.datagram("anna", guest)
    with guarded.refuses("unknown_tag", len(TAG), guest):
        guarded.send(guest, *(_flip(true, position) for position in TAG))
    with guarded.refuses("bad_mac", LENGTH - len(TAG), guest):
        guarded.send(guest, *(_flip(true, position) for position in range(len(TAG), LENGTH)))
    assert guarded.all_shut([guest])
    guarded.send(guest, true)
    guarded.daemon.wait_for("granted", source=str(guest))
    assert guarded.all_open([guest])


def test_a_flipped_byte_under_a_right_mac(guarded, family):
    """Changed bytes under a mac made anew for them get by the kernel; the listener opens none."""
    guest = guarded.guest(family)
    now_ms = int(time.time() * 1000)
    epoch = wire.epoch_of(now_ms)
    true = guarded.keyring.seal("anna", unix_ms=now_ms, source=Source(guest))
    forged = [guarded.keyring.with_new_mac("anna", _flip(true, position), epoch) for position in BODY]
    with guarded.refuses("not_opened", len(BODY), guest):
        guarded.send(guest, *forged)
    assert guarded.all_shut([guest])


def test_a_replay_from_the_same_source(guarded, family, wait_until):
    """A datagram that has been used opens nothing a second time, not even to its own source."""
    guest = guarded.guest(family)
    payload = guarded.datagram("anna", guest, idle_s=1)
    guarded.send(guest, payload)
    guarded.daemon.wait_for("granted", source=str(guest))
    wait_until(time.monotonic() + 1.1)
    with guarded.refuses("replay", 1, guest):
        guarded.send(guest, payload)
    assert guarded.all_shut([guest])


def test_a_replay_from_elsewhere(guarded, family):
    """Who captures a datagram and sends it again from another address gets nothing."""
    guest, thief = guarded.guest(family), guarded.guest(family)
    payload = guarded.datagram("anna", guest)
    guarded.send(guest, payload)
    guarded.daemon.wait_for("granted", source=str(guest))
    with guarded.refuses("replay", 1, thief):
        guarded.send(thief, payload)
    assert guarded.all_shut([thief])


def test_a_captured_datagram_that_comes_first_from_elsewhere(guarded, family):
    """A bound datagram opens nothing for who holds the true one back and sends it from his own address."""
    guest, thief = guarded.guest(family), guarded.guest(family)
    with guarded.refuses("source_mismatch", 1, thief):
        guarded.send(thief, guarded.datagram("anna", guest))
    assert guarded.all_shut([guest, thief])


def test_the_key_of_another_server(guarded, family):
    """A client who seals to another server's key is a stranger here, though his own key is known."""
    guest = guarded.guest(family)
    with guarded.refuses("unknown_tag", 1, guest):
        guarded.knock("lost", guest)
    assert guarded.all_shut([guest])


def test_an_unknown_client(guarded, family):
    """A client whose public key is not configured is a stranger, though he knows the server's key."""
    guest = guarded.guest(family)
    with guarded.refuses("unknown_tag", 1, guest):
        guarded.knock("stranger", guest)
    assert guarded.all_shut([guest])


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d + b"\0", lambda _: b""], ids=["-1", "+1", "0"]
)
def test_another_length(guarded, family, change):
    """A byte too many or too few, or none at all, opens nothing."""
    guest = guarded.guest(family)
    with guarded.refuses("spa_length", 1, guest):
        guarded.send(guest, change(guarded.datagram("anna", guest)))
    assert guarded.all_shut([guest])


def _plaintext(guest, **contents):
    return wire.encode(wire.Plaintext(source=Source(guest), **contents))


def test_a_time_outside_the_epoch_of_the_tag(guarded, family):
    """A datagram with the tag and mac of this epoch, sealed with a time of the one before, opens nothing."""
    guest = guarded.guest(family)
    now_ms = int(time.time() * 1000)
    plaintext = _plaintext(guest, unix_ms=now_ms - EPOCH_S * 1000)
    with guarded.refuses("malformed", 1, guest):
        guarded.send(guest, guarded.keyring.seal_plaintext("anna", wire.epoch_of(now_ms), plaintext))
    assert guarded.all_shut([guest])


@pytest.mark.parametrize("position", [0, 1, 54, 63], ids=["version", "flags", "padding", "last"])
def test_a_plaintext_that_is_not_well_formed(guarded, family, position):
    """What a client seals that wire.md does not define opens nothing, though it is authentic."""
    guest = guarded.guest(family)
    now_ms = int(time.time() * 1000)
    plaintext = bytearray(_plaintext(guest, unix_ms=now_ms))
    plaintext[position] ^= 0x80
    with guarded.refuses("malformed", 1, guest):
        guarded.send(guest, guarded.keyring.seal_plaintext("anna", wire.epoch_of(now_ms), bytes(plaintext)))
    assert guarded.all_shut([guest])
