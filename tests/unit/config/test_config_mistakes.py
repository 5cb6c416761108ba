# SPDX-License-Identifier: MIT
"""Every mistake that one line can hold is named with its place, its key, and what would be right."""

from __future__ import annotations

import pytest

from spale_core.config import loader
from spale_core.errors import ConfigError

WINDOW = "write a whole number from 1 to 2147483647, or -1 for never"
GRACE = "write a whole number from 0 to 2147483647, or -1 for never"
PORTS = "write 22 (both protocols), 22/tcp, 51820/udp or 6000-6010/tcp, separated by commas"
NAME_AT_LEAST = (
    "name at least one port: 22 (both protocols), 22/tcp, 51820/udp or 6000-6010/tcp, separated by commas"
)
PREFIX = "is no address or prefix; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32"
DATE = "write a date such as 2027-12-31 or 2027-12-31T18:00:00Z"

MISTAKES = {
    # numbers
    "IDLE_SEC=abc": f"'abc' is no whole number; {WINDOW}",
    "IDLE_SEC=": f"'' is no whole number; {WINDOW}",
    "IDLE_SEC=6_0": f"'6_0' is no whole number; {WINDOW}",
    "IDLE_SEC=٦٠": f"'\\u0666\\u0660' is no whole number; {WINDOW}",
    "IDLE_SEC=1.5": f"'1.5' is no whole number; {WINDOW}",
    "IDLE_SEC=0": f"0 is out of range; {WINDOW}",
    "IDLE_SEC=-2": f"-2 is out of range; {WINDOW}",
    "IDLE_SEC=2147483648": f"2147483648 is out of range; {WINDOW}",
    "GRACE_SEC=-2": f"-2 is out of range; {GRACE}",
    "MAX_SEC=0": f"0 is out of range; {WINDOW}",
    "SESSION_SEC=-1": "-1 is out of range; write a whole number from 0 to 2147483647",
    "MAX_SKEW_SEC=0": "0 is out of range; write a whole number from 1 to 120",
    "MAX_SKEW_SEC=121": "121 is out of range; write a whole number from 1 to 120",
    "LISTEN_PORT=0": "0 is out of range; write a whole number from 1 to 65535",
    "LISTEN_PORT=65536": "65536 is out of range; write a whole number from 1 to 65535",
    "SPA_RL_RATE=-1": "-1 is out of range; write a whole number from 0 to 1000000",
    "SPA_RL_BURST=0": "0 with a rate of 3 lets no knock in; write at least 1, or SPA_RL_RATE=0 for no limit",
    "MAX_GRANTS=0": "0 is out of range; write a whole number from 1 to 16777216",
    "MAX_SOURCES=99999999": "99999999 is out of range; write a whole number from 1 to 16777216",
    "CLIENT_MAX_SOURCES=0": "0 is out of range; write a whole number from 1 to 65536",
    # words
    "LOG_ONLY=yes": "'yes' is neither yes nor no; write 1 or 0",
    "ON_EXIT=open": "'open' is not known; write keep or detach",
    "XDP_MODE=fast": "'fast' is not known; write auto, native or generic",
    "LOG_LEVEL=loud": "'loud' is not known; write debug, info, warning or error",
    "LOADER=ebpf": "'ebpf' is not known; write libbpf or bcc",
    "MODE=t c": "'t c' cannot be a name; write a name that `spale plugins` lists",
    "AUTH=": "'' has an empty item; separate items by single commas",
    "AUTH=hpke,hpke": "'hpke' is listed twice; name it once",
    # ports
    "PROTECTED_PORTS=": f"is empty; {NAME_AT_LEAST}",
    "PROTECTED_PORTS=22,,443": f"'' is no port; {PORTS}",
    "PROTECTED_PORTS=ssh": f"'ssh' is no port; {PORTS}",
    "PROTECTED_PORTS=0": "'0' is out of range; ports go from 1 to 65535",
    "PROTECTED_PORTS=22,65536/tcp": "'65536/tcp' is out of range; ports go from 1 to 65535",
    "PROTECTED_PORTS=22/sctp": (
        "'22/sctp' has a protocol that is none; write tcp or udp, or leave it out for both"
    ),
    "PROTECTED_PORTS=30-20": "'30-20' runs backwards; write 20-30",
    # addresses
    "LISTEN_ADDR=::": "'::' is no IPv4 address; write one of this host's, or 0.0.0.0",
    "LISTEN_ADDR6=0.0.0.0": "'0.0.0.0' is no IPv6 address; write one of this host's, or ::",
    "LISTEN_ADDR6=::ffff:1.2.3.4": "'::ffff:1.2.3.4' cannot be listened on; write one of this host's, or ::",
    "ALWAYS_ALLOW=here": f"'here' {PREFIX}",
    "ALWAYS_ALLOW=10.0.0.0/33": f"'10.0.0.0/33' {PREFIX}",
    "ALWAYS_ALLOW=10.0.0.0/255.0.0.0": f"'10.0.0.0/255.0.0.0' {PREFIX}",
    "ALWAYS_ALLOW=fe80::1%lo": f"'fe80::1%lo' {PREFIX}",
    "ALWAYS_ALLOW=10.0.0.1/8": "'10.0.0.1/8' has bits set behind the prefix; write 10.0.0.0/8",
    "ALWAYS_ALLOW=10.0.0.0/8,10.0.0.0/8": "'10.0.0.0/8' is listed twice; name it once",
    "ALWAYS_ALLOW=10.0.0.1,10.0.0.1/32": "'10.0.0.1/32' is listed twice; name it once",
    "ALWAYS_ALLOW=::/64": (
        "'::/64' contains ::ffff:0:0/96, which is all of IPv4; write a longer prefix, or ::/0 for all of IPv6"
    ),
    "ALWAYS_ALLOW=::ffff:0:0/96": (
        "'::ffff:0:0/96' is IPv4 in the form of IPv6; write the IPv4 address or prefix"
    ),
    "ALWAYS_ALLOW=::ffff:10.0.0.1": (
        "'::ffff:10.0.0.1' is IPv4 in the form of IPv6; write the IPv4 address or prefix"
    ),
    # the file itself
    'IDLE_SEC="60': 'opens a quote that never closes; end the value with "',
    'IDLE_SEC="60"s': (
        "goes on after its closing quote; quote the whole value, and put a blank before a comment"
    ),
    'IDLE_SEC=6"0"': "has a quote in the middle; quote the whole value or nothing",
    "STATE_DIR=": "is empty; write a path",
    "DROP_PRIVS=a b": "'a b' names no user; write USER or USER:GROUP",
    "IFACE=lo,lo": "'lo' is listed twice; name it once",
    "IFACE=a/b": "'a/b' cannot be an interface; write a name that `ip link` lists",
    # clients
    "ADMIN_IDLE_SEC=0": f"0 is out of range; {WINDOW}",
    "ADMIN_PORTS=": f"is empty; {NAME_AT_LEAST}",
    "ADMIN_PORTS=22,8443": "8443 is not protected; add it to PROTECTED_PORTS or drop it here",
    "ADMIN_PORTS=443": "443/udp is not protected; add it to PROTECTED_PORTS or drop it here",
    "ADMIN_SOURCES=": "is empty; name at least one prefix, or remove the line to allow any source",
    "ADMIN_EXPIRES=soon": f"'soon' is no ISO 8601 date; {DATE}",
    "ADMIN_EXPIRES=2027-02-30": f"'2027-02-30' is no date of the calendar; {DATE}",
    "ADMIN_EXPIRES=1969-12-31": f"'1969-12-31' is out of range; {DATE}",
    "ADMIN_EXPIRES=2027-W01-1": f"'2027-W01-1' is no ISO 8601 date; {DATE}",
    "ADMIN_AUTH=other": (
        "client admin uses 'other', which AUTH does not list; add it to AUTH, "
        "or set ADMIN_AUTH to one of hpke"
    ),
    # keys
    "IDEL_SEC=60": "is no key; did you mean IDLE_SEC?",
    "idle_sec=60": "is no key; did you mean IDLE_SEC?",
    "ADMIN_PROTS=22": "is no key; did you mean ADMIN_PORTS?",
    "ADMNI_PORTS=22": "is no key; did you mean ADMIN_PORTS?",
    "XYZZY=1": "is no key; spale.conf.example lists them all",
    "TRIAL=60": "is no key; spale.conf.example lists them all",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_one_mistake_is_named_with_its_place(lab, line):
    """PATH:LINE: KEY: what is wrong; what would be right. And nothing else, since nothing else is wrong."""
    found = lab.mistakes(line)
    key = line.partition("=")[0]
    assert found == [f"LAB/spale.conf:{lab.line_of(key)}: {key}: {MISTAKES[line]}"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("hello", "hello"),
        ("=5", "''"),
        ("A B=5", "'A B'"),
        ("IDLÉ=5", "'IDL\\xc9'"),
        ("export A=5", "'export A'"),
    ],
)
def test_a_line_without_a_key_is_a_mistake(lab, line, shown):
    """What is neither a setting nor a comment is never skipped."""
    found = lab.mistakes(line)
    assert found == [f"LAB/spale.conf:7: {shown}: is no setting; write KEY=VALUE, or # before a comment"]


@pytest.mark.parametrize("port", ["55555", "55555/udp", "55550-55560"])
def test_the_spa_port_cannot_be_protected(lab, port):
    """A protected SPA port would swallow the knocks; without a protocol a port means both."""
    (found,) = lab.mistakes(f"PROTECTED_PORTS={port}")
    assert found.startswith("LAB/spale.conf:2: LISTEN_PORT: 55555/udp is among the protected ports")


def test_tcp_at_the_number_of_the_spa_port_is_an_ordinary_port(lab):
    """Only UDP is taken."""
    assert lab.load("PROTECTED_PORTS=22/tcp,55555/tcp").listen_port == 55555


def test_more_prefixes_than_fit(lab):
    """Refused here, not when the kernel's map is full."""
    addresses = ",".join(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(65537))
    (found,) = lab.mistakes(f"ALWAYS_ALLOW={addresses}")
    assert found.endswith("ALWAYS_ALLOW: has 65537 prefixes; at most 65536 fit, so join neighbours")


def test_burst_zero_is_fine_without_a_rate(lab):
    """Without a limit there is no bucket."""
    assert lab.load("SPA_RL_RATE=0", "SPA_RL_BURST=0").rate == 0


@pytest.mark.parametrize("key", ["IFACE", "LISTEN_PORT", "PROTECTED_PORTS"])
def test_what_is_required_must_be_there(lab, key):
    """There is no default for these; the line says both ways to give them."""
    del lab.lines[key]
    (found,) = lab.mistakes()
    assert found.startswith(f"LAB/spale.conf: {key}: is not set; write for example {key}=")


def test_the_line_of_a_client_that_is_gone(lab):
    """The words say that the line has to go with it."""
    (found,) = lab.mistakes("BERT_PORTS=22/tcp")
    assert found.endswith("(CLIENTS_DIR has no client 'BERT': if it is gone, remove its lines too)")


def test_where_there_is_no_file_at_all(lab, monkeypatch):
    """The line says so: what is missing is not looked for in a file that nobody wrote."""
    monkeypatch.setattr(loader, "DEFAULT_PATH", lab.folder / "none.conf")
    with pytest.raises(ConfigError, match=r"none\.conf \(there is no such file\): IFACE: is not set"):
        loader.load({}, {}, available=())


def test_mistakes_come_in_the_order_of_lines(lab):
    """Whoever mends the file goes through it once."""
    found = lab.mistakes("IFACE=nowhere0", "IDLE_SEC=x", "NOPE_AT_ALL=1")
    numbers = [int(line.split(":")[1]) for line in found]
    assert numbers == sorted(numbers)
    assert len(numbers) == 3


def test_a_key_that_stands_twice_is_a_mistake(lab):
    """Which of the two was meant is not for us to guess."""
    found = lab.mistakes("IDLE_SEC=60", "GRACE_SEC=10", "IDLE_SEC=70", "ADMIN_PORTS=22", "ADMIN_PORTS=22")
    assert found == [
        "LAB/spale.conf:9: IDLE_SEC: is set twice, first at LAB/spale.conf:7: IDLE_SEC; keep one",
        "LAB/spale.conf:11: ADMIN_PORTS: is set twice, first at LAB/spale.conf:10: ADMIN_PORTS; keep one",
    ]


def test_mode_and_dataplane_must_not_differ(lab):
    """They mean the same: equal is fine, different is a mistake."""
    assert lab.load("MODE=xdp", "DATAPLANE=xdp").dataplane == "xdp"
    assert lab.mistakes("MODE=tc", "DATAPLANE=xdp") == [
        "LAB/spale.conf:8: DATAPLANE: differs from LAB/spale.conf:7: MODE; they mean the same, so keep one"
    ]


def test_all_mistakes_are_named_at_once(lab):
    """One run is enough to learn of everything."""
    lines = ["IDLE_SEC=x", "ALWAYS_ALLOW=y", "ADMIN_PORTS=23", "NOPE_AT_ALL=1", "MAX_SKEW_SEC=500"]
    found = lab.mistakes(*lines, options={"SPA_RL_RATE": "z"}, environ={"SPALE_ON_EXIT": "w"})
    named = {line.split(": ")[-2] if line.startswith("LAB") else line.split(": ")[0] for line in found}
    assert len(found) == 7
    assert named == {
        "IDLE_SEC",
        "ALWAYS_ALLOW",
        "ADMIN_PORTS",
        "NOPE_AT_ALL",
        "MAX_SKEW_SEC",
        "--rate",
        "environment",
    }


def test_a_mistake_that_is_overridden_is_still_a_mistake(lab):
    """An option does not hide what the file has wrong."""
    found = lab.mistakes("IDLE_SEC=x", options={"IDLE_SEC": "5"})
    assert [line.split(": ")[1] for line in found] == ["IDLE_SEC"]


def test_nothing_can_forge_a_line(lab):
    """A value that holds a line break is shown escaped; so is one from the environment."""
    found = lab.mistakes(environ={"SPALE_IDLE_SEC": "5\nforged: all is well\x1b[2J"})
    assert found == [
        "environment: SPALE_IDLE_SEC: '5\\nforged: all is well\\x1b[2J' holds a control character; remove it"
    ]
