# SPDX-License-Identifier: MIT
"""Clients of the original C program knock beside ours, where the configuration says so, and nowhere else."""

from __future__ import annotations

import time

import pytest
from house import LOG_S
from reloading import Change
from rigging import Rig

from spale_core.demo.poll import until
from spale_crypto_hpke.keys import read_key_file
from spale_crypto_hpke.requester_v1 import V1Requester

ON = {"AUTH": "hpke,hpke-v1", "TARDY_AUTH": "hpke-v1", "BRIEF_AUTH": "hpke-v1"}
KEY, LENGTH = 32, 97


def _old_knock(house, client):
    """Return a datagram of version 1 with this client's keys."""
    requester = V1Requester(*read_key_file(house.keyring.bundle(client).read_bytes()))
    return requester.seal(unix_ms=time.time_ns() // 1_000_000)


def _flip(payload, position):
    return bytes(byte ^ (place == position) for place, byte in enumerate(payload))


@pytest.fixture
def mixed(tc_house):
    """Return a house with clients of both versions, and with a past: version 1 cannot be bound."""
    Rig.remember(tc_house.config["STATE_DIR"])
    tc_house.guard(**ON)
    return tc_house


def test_both_versions_open_and_none_twice(mixed):
    """One client of each opens its ports, over both families; a copy opens nothing, from anywhere."""
    for old, new in zip(mixed.guests(), mixed.guests(), strict=True):
        payload = _old_knock(mixed, "tardy")
        mixed.send(old, payload)
        assert mixed.daemon.wait_for("granted", timeout_s=LOG_S, source=str(old))["client"] == "tardy"
        mixed.admit("anna", new)
        assert mixed.all_open([old, new])
        thief = mixed.guest(old.version)
        for source in (old, thief):
            with mixed.refuses("replay", 1, source):
                mixed.send(source, payload)
        assert mixed.all_shut([thief])
    sender = mixed.guest(4)
    mixed.knock("tardy", sender, "--wire", "v1", bind="off")
    mixed.daemon.wait_for("granted", timeout_s=LOG_S, source=str(sender))


def test_what_that_client_did_not_make(mixed):
    """The kernel knows 8 bytes of the key, the listener all of it and the seal; a key has one version."""
    guest = mixed.guest(4)
    true = _old_knock(mixed, "tardy")
    others = _old_knock(mixed, "anna"), mixed.datagram("tardy", guest)
    with mixed.refuses("unknown_tag", KEY + len(others), guest):
        mixed.send(guest, *others, *(_flip(true, position) for position in range(KEY)))
    with mixed.refuses("not_opened", LENGTH - KEY, guest):
        mixed.send(guest, *(_flip(true, position) for position in range(KEY, LENGTH)))
    assert mixed.all_shut([guest])
    mixed.send(guest, true)
    mixed.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest))


def test_off_it_ends_by_its_length(guarded):
    """Where nobody has it in the configuration the kernel drops it, whoever made it."""
    guest = guarded.guest(4)
    with guarded.refuses("spa_length", 1, guest):
        guarded.send(guest, _old_knock(guarded, "tardy"))
    assert guarded.all_shut([guest])


def test_a_reload_turns_it_on_for_a_client(tc_house):
    """Until then the client's datagram ends in the kernel, and after that its datagram of version 2 does."""
    Rig.remember(tc_house.config["STATE_DIR"])
    change, guest = Change(tc_house), tc_house.guest(4)
    tc_house.guard()
    with tc_house.refuses("spa_length", 1, guest):
        tc_house.send(guest, _old_knock(tc_house, "tardy"))
    change.reload(**ON)
    with tc_house.refuses("unknown_tag", 1, guest):
        tc_house.send(guest, tc_house.datagram("tardy", guest))
    tc_house.send(guest, _old_knock(tc_house, "tardy"))
    tc_house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(guest), client="tardy")


def test_a_tag_and_a_source_have_a_bucket(tc_house):
    """Many at once are too many; the same client elsewhere, and others from there, have spent nothing."""
    Rig.remember(tc_house.config["STATE_DIR"])
    tc_house.guard(**ON, SPA_RL_RATE=1, SPA_RL_BURST=1)
    guest, elsewhere = tc_house.guest(4), tc_house.guest(4)
    tc_house.send(guest, *(_old_knock(tc_house, "tardy") for _ in range(30)))
    assert until(lambda: tc_house.refusals("rate_limited")[1] > 0, LOG_S)
    for source, payload, client in (
        (elsewhere, _old_knock(tc_house, "tardy"), "tardy"),
        (guest, _old_knock(tc_house, "brief"), "brief"),
        (guest, tc_house.datagram("anna", guest), "anna"),
    ):
        tc_house.send(source, payload)
        tc_house.daemon.wait_for("granted", timeout_s=LOG_S, source=str(source), client=client)
