# SPDX-License-Identifier: MIT
"""A thousand clients, or as many as SPALE_CLIENTS says (`nox -s load`: 10,000): ready soon, none locked out.

SPALE_START_S is how long a start may take, in seconds; unset, it is not judged, for others may be at work
here.
"""

from __future__ import annotations

import os
import time

import pytest
from house import LOG_S
from rigging import CONFIG, Rig

from spale_core.demo.poll import until
from spale_core.model import EPOCH_S, Source
from spale_crypto_hpke.keys import read_key_file, write_public
from spale_crypto_hpke.requester import HpkeRequester
from spale_crypto_hpke.suite import KeyPair

CLIENTS = int(os.environ.get("SPALE_CLIENTS", "1000"))
START_S = float(os.environ.get("SPALE_START_S", "inf"))
BEFORE_S, AFTER_S = 3, 3
"""How long before an epoch ends the knocking begins, and how long after that it goes on."""

PAUSE_S = 0.1


@pytest.fixture
def crowd(tc_house):
    """Return the key pairs of that many clients, whose public keys are in the house's folder."""
    folder = tc_house.folder / "crowd"
    folder.mkdir(mode=0o700)
    pairs = [KeyPair.generate() for _ in range(CLIENTS)]
    for number, pair in enumerate(pairs):
        (folder / f"client-{number:05}.pem").write_bytes(write_public(pair.public))
    tc_house.config = {
        key: value
        for key, value in tc_house.config.items()
        if key.split("_")[0] not in {"USHER", "BRIEF", "PATIENT", "MAYFLY"}
    }
    tc_house.config["CLIENTS_DIR"] = folder
    return pairs


@pytest.fixture
def rig(tc_house, tmp_path, monkeypatch):
    """Return a rig with a clock of its own."""
    rig = Rig(tmp_path / "site", monkeypatch)
    rig.remember(tc_house.config["STATE_DIR"])
    return rig


@pytest.mark.timeout(300)
def test_nobody_is_missed_when_an_epoch_ends(tc_house, rig, crowd, keyring):
    """Clients all over the folder knock, one after the other, across the change: each is let in."""
    tc_house.config["STORE"] = CONFIG["STORE"]
    began = time.monotonic()
    ready = tc_house.guard()
    assert time.monotonic() - began < START_S
    assert ready["clients"] == str(CLIENTS)
    # The daemon's clock, and the clients' with it, is set so that an epoch ends in a moment.
    shift_s = int(EPOCH_S - BEFORE_S - time.time() % EPOCH_S)
    rig.turn(shift_s=shift_s)
    pk_r, _ = read_key_file(keyring.bundle("anna").read_bytes())
    ends = time.time() + BEFORE_S + AFTER_S
    guests = []
    while time.time() < ends:
        pair = crowd[len(guests) * 7919 % CLIENTS]
        guests.append(tc_house.guest(4))
        unix_ms = int((time.time() + shift_s) * 1000)
        payload = HpkeRequester(pk_r, pair).seal(unix_ms=unix_ms, source=Source(guests[-1]))
        tc_house.send(guests[-1], payload)
        until(lambda: False, PAUSE_S)
    assert len(guests) > 2 * (BEFORE_S + AFTER_S)

    def missed():
        let_in = {event["source"] for event in tc_house.daemon.events("granted")}
        return {str(guest) for guest in guests} - let_in

    assert until(lambda: not missed(), LOG_S), (missed(), tc_house.daemon.events("refused"))
    assert tc_house.daemon.events("refused") == []
