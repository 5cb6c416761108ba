# SPDX-License-Identifier: MIT
"""What an administrator does by hand: grants, prefixes that need no knock, trials. And what that survives."""

from __future__ import annotations

import os
import signal
import time
from ipaddress import ip_network

import pytest
from house import ALL, START_S
from reloading import Change

from spale_core.control.client import Client
from spale_core.demo.poll import until
from spale_core.errors import DataError, UsageError

SSH = ALL[0]


def call(house, method, **params):
    """Return what the daemon answers."""
    with Client.connect(house.config["SOCKET"]) as client:
        return client.call(method, **params)


def authorize(house, source, *services, **windows):
    """Let an address in."""
    ports = [str(service) for service in services] or None
    return call(house, "authorize_add", ip=str(source), ports=ports, **windows)


def host(address):
    """Return the prefix that is one address."""
    return str(ip_network(str(address)))


def test_an_address_is_let_in_by_hand(tc_house, wait_until):
    """At once, for what was named, as long as was said, and nobody else; `del` leaves what a knock opened."""
    tc_house.guard()
    for guest in tc_house.guests():
        assert authorize(tc_house, guest, SSH) == {"granted": [str(SSH)]}
        assert tc_house.all_open([guest], [SSH])
        assert tc_house.all_shut([guest], ALL[1:])
    assert tc_house.all_shut(tc_house.guests())
    said = {"services": str(SSH), "idle_s": "60", "grace_s": "300", "max_s": "43200", "source": str(guest)}
    assert tc_house.daemon.events("authorized")[-1] == said
    authorize(tc_house, brief := tc_house.guest(4), idle_sec=2, grace_sec=0)
    assert tc_house.all_open([brief], [SSH])
    since = time.monotonic()
    tc_house.let_in("usher", guest)
    assert call(tc_house, "authorize_del", ip=str(guest), ports=None) == {"ended": 1, "sessions": 1}
    assert tc_house.all_open([guest], [SSH])
    wait_until(since + 2.1)
    assert tc_house.all_shut([brief])
    authorize(tc_house, other := tc_house.guest(6))
    assert call(tc_house, "authorize_del", ip=str(other), ports=None)["ended"] == len(ALL)
    assert tc_house.all_shut([other])
    for method, words in (("authorize_add", "no address"), ("authorize_del", "not protected")):
        with pytest.raises(DataError, match=words):
            call(tc_house, method, ip="127.0.0.1", ports=["22"] if "add" in method else ["23"])


def test_what_it_survives(tc_house):
    """SIGTERM, SIGKILL and reloads, not the end of the service; a prefix is deleted where it comes from."""
    change = Change(tc_house)
    tc_house.guard()
    guest, other = tc_house.guests()
    authorize(tc_house, guest)
    call(tc_house, "allowlist_add", prefix=host(other))
    assert tc_house.all_open([guest, other])
    for end in (signal.SIGTERM, signal.SIGKILL):
        tc_house.daemon.stop(end)
        tc_house.guard()
        assert tc_house.all_open([guest, other])
    change.reload(ALWAYS_ALLOW=host(other), PROTECTED_PORTS=str(SSH))
    (ended,) = tc_house.daemon.events("deauthorized")
    assert (ended["source"], ended["cause"]) == (str(guest), "changed")
    with pytest.raises(DataError, match="comes from ALWAYS_ALLOW; remove it there and reload"):
        call(tc_house, "allowlist_del", prefix=host(other))
    change.reload()
    assert tc_house.all_open([guest], [SSH])
    assert tc_house.all_shut([guest], ALL[1:])
    assert tc_house.all_open([other])
    call(tc_house, "allowlist_del", prefix=host(other))
    assert tc_house.all_shut([other])
    tc_house.daemon.stop(signal.SIGKILL)
    tc_house.guard()
    assert tc_house.all_shut([other])


def test_a_trial(tc_house):
    """Nobody confirms it: it opens, and ends with 75. Somebody does: it goes on, and shut it stays."""
    guest = tc_house.guest(4)
    daemon = tc_house.start("--trial", "3")
    assert "trial_until" in daemon.wait_for("ready", timeout_s=START_S)
    assert call(tc_house, "status")["trial_left_s"] in {1, 2, 3}
    assert tc_house.all_shut([guest])
    assert until(lambda: daemon.exit_code is not None, 3 + 5)
    assert daemon.exit_code == os.EX_TEMPFAIL
    assert daemon.events("trial") == [{"ended": "unconfirmed"}]
    assert daemon.events("exit") == [{"cause": "trial", "attached": "no"}]
    assert tc_house.all_open([guest])
    daemon = tc_house.start("--trial", "3")
    daemon.wait_for("ready", timeout_s=START_S)
    assert call(tc_house, "confirm") == {}
    with pytest.raises(UsageError, match="confirmed already"):
        call(tc_house, "confirm")
    assert not until(lambda: daemon.exit_code is not None, 3.5)
    assert tc_house.all_shut([guest])
    assert daemon.events("trial") == [{"ended": "confirmed"}]
