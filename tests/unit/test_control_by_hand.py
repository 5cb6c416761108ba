# SPDX-License-Identifier: MIT
"""The methods that change something by hand: what they take, what they answer, and what lists show then."""

from __future__ import annotations

import pytest
from control_lab import Lab
from office import HERE, SSH

from spale_core.control.methods import METHODS

MINE = ("authorize_add", "authorize_del", "allowlist_add", "allowlist_del", "confirm")
BAD = -32602


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    made = Lab(tmp_path)
    yield made
    made.close()


def test_an_address_comes_and_goes(lab):
    """All that is protected, or what is named; the lists show whose it is: nobody's."""
    assert lab.call("authorize_add", ip="192.0.2.7") == {"granted": ["22/tcp", "443/tcp"]}
    assert lab.call("authorize_add", ip="192.0.2.7", ports=["22/tcp"], idle_sec=-1, grace_sec=0) == {
        "granted": ["22/tcp"]
    }
    found = lab.call("list_authorized")
    assert {(each["client"], each["service"], each["idle_s"]) for each in found} == {
        (None, "22/tcp", None),
        (None, "443/tcp", 60),
    }
    assert lab.office.receive(HERE, SSH)
    assert lab.call("authorize_del", ip="192.0.2.7", ports=["443/tcp"]) == {"ended": 1, "sessions": 0}
    assert lab.call("authorize_del", ip="192.0.2.7") == {"ended": 1, "sessions": 0}
    assert lab.call("list_authorized") == []
    assert not lab.office.receive(HERE, SSH)


def test_an_address_on_a_link(lab):
    """Needs its interface, which must be a protected one."""
    assert lab.call("authorize_add", ip="fe80::7%eth0")["granted"]
    (source,) = {each["source"] for each in lab.call("list_authorized")}
    assert source == "fe80::7%eth0"
    for wrong in ("fe80::7", "fe80::7%eth9", "192.0.2.7%eth0"):
        code, words = lab.call("authorize_add", ip=wrong)
        assert (code, "ip: " in words) == (BAD, True)


def test_a_prefix_comes_and_goes(lab):
    """It shows as manual, and is deleted once."""
    for _ in range(2):
        assert lab.call("allowlist_add", prefix="192.0.2.0/24") == {}
    assert lab.call("list_allowlist") == [{"prefix": "192.0.2.0/24", "origin": "manual"}]
    assert lab.call("facts", source="192.0.2.7", service="22/tcp")["always_allow"] == lab.call(
        "list_allowlist"
    )
    assert lab.call("allowlist_del", prefix="192.0.2.0/24") == {}
    code, words = lab.call("allowlist_del", prefix="192.0.2.0/24")
    assert (code, "is not in the list" in words) == (65, True)


def test_nothing_to_confirm(lab):
    """Is an error of usage."""
    assert lab.call("confirm")[0] == 64


@pytest.mark.parametrize(
    ("method", "params", "code", "words"),
    [
        ("authorize_add", {}, BAD, "ip is missing"),
        ("authorize_add", {"ip": "here"}, BAD, "is no address"),
        ("authorize_add", {"ip": "10.0.0.0/8"}, BAD, "is no address"),
        ("authorize_add", {"ip": "::ffff:192.0.2.5"}, BAD, "IPv4 in the form of IPv6"),
        ("authorize_add", {"ip": "192.0.2.7", "ports": "22"}, BAD, "write a list"),
        ("authorize_add", {"ip": "192.0.2.7", "ports": []}, BAD, "write a list"),
        ("authorize_add", {"ip": "192.0.2.7", "ports": [22]}, BAD, "write a text"),
        ("authorize_add", {"ip": "192.0.2.7", "ports": ["22/sctp"]}, BAD, "protocol that is none"),
        ("authorize_add", {"ip": "192.0.2.7", "idle_sec": 0}, BAD, "idle_sec: write seconds from 1"),
        ("authorize_add", {"ip": "192.0.2.7", "idle_sec": True}, BAD, "idle_sec: write seconds from 1"),
        ("authorize_add", {"ip": "192.0.2.7", "grace_sec": -2}, BAD, "grace_sec: write seconds from 0"),
        ("authorize_add", {"ip": "192.0.2.7", "grace_sec": 10**30}, BAD, "grace_sec: write seconds from 0"),
        ("authorize_add", {"ip": "127.0.0.1"}, 65, "no address that a packet can come from"),
        ("authorize_add", {"ip": "192.0.2.7", "ports": ["25"]}, 65, "25/tcp, 25/udp are not protected"),
        ("authorize_del", {"ip": "192.0.2.7", "ports": ["25/tcp"]}, 65, "25/tcp is not protected"),
        ("authorize_del", {"ip": "192.0.2.7", "idle_sec": 1}, BAD, "is no parameter"),
        ("allowlist_add", {"prefix": "10.0.0.1/8"}, BAD, "write 10.0.0.0/8"),
        ("allowlist_add", {"prefix": "::/8"}, BAD, "contains ::ffff:0:0/96"),
        ("allowlist_add", {"prefix": "::ffff:10.0.0.0/104"}, BAD, "IPv4 in the form of IPv6"),
        ("allowlist_add", {"prefix": "10.0.0.0/8,::/0"}, BAD, "is no address or prefix"),
        ("allowlist_del", {"prefix": "10.0.0.0/8"}, 65, "is not in the list"),
    ],
)
def test_what_is_wrong_is_named(lab, method, params, code, words):
    """With what would be right."""
    found, said = lab.call(method, **params)
    assert found == code
    assert words in said


def test_only_an_administrator_changes():
    """The table says so."""
    assert not any(METHODS[name].reading for name in MINE)
