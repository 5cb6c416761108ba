# SPDX-License-Identifier: MIT
"""An option wins over the environment, SPALE_KEY over the bare KEY, and all over the file."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

import pytest

from spale_core.config import loader
from spale_core.config.settings import OnExit
from spale_core.model import Protocol, Service

BOTH = (Protocol.TCP, Protocol.UDP)


def test_each_layer_wins_over_the_next(lab):
    """Taken away one by one, the next one shows."""
    option, prefixed = {"IDLE_SEC": "1"}, {"SPALE_IDLE_SEC": "2"}
    bare, line = {"IDLE_SEC": "3"}, "IDLE_SEC=4"
    assert lab.load(line, options=option, environ=bare | prefixed).idle_s == 1
    assert lab.load(line, environ=bare | prefixed).idle_s == 2
    assert lab.load(line, environ=bare).idle_s == 3
    assert lab.load(line).idle_s == 4
    assert lab.load().idle_s == 60


@pytest.mark.parametrize("key", ["MODE", "DATAPLANE"])
def test_mode_of_one_layer_yields_to_dataplane_of_another(lab, key):
    """They are one key, so precedence holds between them; only within a layer do they contradict."""
    other = {"MODE": "DATAPLANE", "DATAPLANE": "MODE"}[key]
    assert lab.load(f"{key}=tc", environ={other: "xdp"}).dataplane == "xdp"
    assert lab.load(f"{key}=tc", environ={f"SPALE_{other}": "xdp", key: "tc"}).dataplane == "xdp"
    (found,) = lab.mistakes(environ={"SPALE_MODE": "tc", "SPALE_DATAPLANE": "xdp"})
    assert found == (
        "environment: SPALE_DATAPLANE: differs from environment: SPALE_MODE; they mean the same, so keep one"
    )


def test_a_mistake_says_where_it_was_made(lab):
    """Option, either kind of variable, or line."""
    words = "'x' is no whole number; write a whole number from 1 to 2147483647, or -1 for never"
    (found,) = lab.mistakes(options={"IDLE_SEC": "x"})
    assert found == f"--idle-sec: {words}"
    (found,) = lab.mistakes(environ={"SPALE_IDLE_SEC": "x"})
    assert found == f"environment: SPALE_IDLE_SEC: {words}"
    (found,) = lab.mistakes(environ={"IDLE_SEC": "x"})
    assert found == f"environment: IDLE_SEC: {words}"


def test_other_peoples_variables_are_left_alone(lab):
    """A bare name that is no key belongs to somebody else; NAME and TRIAL are options only."""
    strange = {"PATH": "/bin", "ADMIN_PORTS": "99", "NAME": "x", "TRIAL": "1", "IDEL_SEC": "9"}
    settings = lab.load(environ=strange)
    assert (settings.name, settings.trial_s) == (None, None)
    settings = lab.load(environ=strange, options={"NAME": "office", "TRIAL": "60"})
    assert (settings.name, settings.trial_s) == ("office", 60)
    (found,) = lab.mistakes(options={"TRIAL": "0"})
    assert found.startswith("--trial: 0 is out of range")


def test_a_prefixed_name_that_is_no_key_is_a_mistake(lab):
    """Whoever writes SPALE_ means us."""
    found = lab.mistakes(environ={"SPALE_IDEL_SEC": "9", "SPALE_NAME": "x", "SPALE_ADMIN_PORTS": "22"})
    assert found == [
        "environment: SPALE_IDEL_SEC: is no key; did you mean IDLE_SEC?",
        "environment: SPALE_NAME: is no key; spale.conf.example lists them all",
        "environment: SPALE_ADMIN_PORTS: is a client's key; it is read from the file only",
    ]


def test_the_variables_of_our_tests_are_no_mistake(lab):
    """CI sets them for everything that it starts."""
    lab.load(environ={"SPALE_REQUIRE_KERNEL": "1", "SPALE_TEST_ANYTHING": "1"})


def test_defaults(lab):
    """What nothing says is what spec.md's table says; ports without a protocol are both."""
    settings = lab.load("PROTECTED_PORTS=22, 6000-6001/udp")
    assert settings.interfaces == ("lo",)
    expected = {Service(each, 22) for each in BOTH}
    expected |= {Service(Protocol.UDP, port) for port in (6000, 6001)}
    assert settings.services == expected
    assert (settings.listen_addr, settings.listen_addr6) == (IPv4Address(0), IPv6Address(0))
    assert (settings.idle_s, settings.grace_s, settings.max_s, settings.session_s) == (60, 300, 43200, 86400)
    assert (settings.rate, settings.burst, settings.max_skew_s) == (3, 3, 30)
    assert (settings.dataplane, settings.auth, settings.store) == ("tc", ("hpke",), "sqlite")
    assert (settings.max_grants, settings.max_sources, settings.client_max_sources) == (65536, 16384, 16)
    assert (settings.max_sessions, settings.adopt) == (65536, True)
    assert (settings.on_exit, settings.xdp_mode, settings.loader) == (OnExit.KEEP, "auto", "libbpf")
    assert (settings.log_only, settings.require_source_binding, settings.log_syslog) == (False, False, False)
    assert (settings.log_level, settings.always_allow, settings.drop_privs) == ("info", (), None)
    assert settings.config_path == lab.conf


def test_sessions(lab):
    """Their time, their number, and whether those that stand are adopted."""
    settings = lab.load("SESSION_SEC=0", "MAX_SESSIONS=100", "ADOPT=1", options={"ADOPT": "0"})
    assert (settings.session_s, settings.max_sessions, settings.adopt) == (0, 100, False)


@pytest.mark.parametrize("line", ["STORE=memory", "XDP_MODE=native", "XDP_MODE=generic"])
def test_one_of_several(lab, line):
    """What is not the default is taken, too."""
    key, _, value = line.partition("=")
    assert getattr(lab.load(line), key.lower()) == value


def test_no_file_is_needed(lab, monkeypatch):
    """The default path need not exist; a path that was given must."""
    monkeypatch.setattr(loader, "DEFAULT_PATH", lab.folder / "none.conf")
    settings = loader.load(lab.lines, {}, None, available=("hpke", "memory", "sqlite", "tc"))
    assert settings.listen_port == 55555
    assert settings.config_path is None
    found = lab.mistakes_of_file()
    assert found == ["--config: LAB/spale.conf does not exist; create it, or name another"]


def test_the_only_dataplane_installed_is_the_default(lab):
    """Else it is tc, installed or not: then the mistake names what is there."""
    assert lab.load(available=("hpke", "memory", "sqlite", "xdp")).dataplane == "xdp"
    assert lab.load(available=("hpke", "memory", "sqlite", "tc", "xdp")).dataplane == "tc"
    assert lab.load(available=("hpke", "memory", "sqlite", "foo")).dataplane == "foo"
    (found,) = lab.mistakes(available=("hpke", "memory", "sqlite", "foo", "bar"))
    assert found.endswith(
        "DATAPLANE: no plugin 'tc' is installed; install what provides it"
        " (there are: bar, foo, hpke, memory, sqlite)"
    )


@pytest.mark.parametrize(
    ("line", "key"), [("MODE=nft", "MODE"), ("STORE=redis", "STORE"), ("AUTH=hpke,totp", "AUTH")]
)
def test_a_plugin_that_is_not_installed(lab, line, key):
    """Named before anything is attached."""
    (found,) = lab.mistakes(line)
    assert f":7: {key}: no plugin '{line.split('=')[1].split(',')[-1]}' is installed" in found


FORMS = {
    "IDLE_SEC=5": 5,
    "  IDLE_SEC = 5  ": 5,
    "\tIDLE_SEC\t=\t5\t": 5,
    "IDLE_SEC=5 # a comment": 5,
    "IDLE_SEC=5\t#a comment": 5,
    'IDLE_SEC="5"': 5,
    "IDLE_SEC='5'   # a comment with \"quotes'": 5,
    "IDLE_SEC=5\r": 5,
    "IDLE_SEC=005": 5,
    "IDLE_SEC=-1": -1,
}


@pytest.mark.parametrize("line", FORMS)
def test_how_a_line_may_be_written(lab, line):
    """Blanks around key and value, quotes around the whole value, a comment behind a blank, CRLF."""
    assert lab.load(line).idle_s == FORMS[line]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/a#b", "/a#b"),
        ('"/a #b"', "/a #b"),
        ("'/a #b'", "/a #b"),
        ('"/a\\"b\\\\c"', '/a"b\\c'),
        ("'/a\\b'", "/a\\b"),
        ("/a b", "/a b"),
    ],
)
def test_a_hash_and_quotes_in_a_value(lab, value, name):
    """# begins a comment only behind a blank and outside quotes; double quotes know a backslash."""
    assert lab.load(f"STATE_DIR={value}").state_dir == Path(name)


def test_comments_may_be_in_any_encoding(lab):
    """A file of the original may be in Latin-1; a path may hold bytes that are no UTF-8."""
    lab.put()
    content = lab.conf.read_bytes().replace(f"{lab.folder}/state".encode(), b"/st\xe4te")
    lab.write(lab.conf, b"# gr\xfc\xdfe\n" + content + b"#ALWAYS_ALLOW=x\n   # IDLE_SEC=x\n\n")
    assert bytes(lab.load_file().state_dir) == b"/st\xe4te"


def test_prefixes_of_both_families(lab):
    """::/0 is all of IPv6 and only that."""
    settings = lab.load("ALWAYS_ALLOW=192.168.1.10, 10.0.0.0/8,2001:db8::/32,::/0,0.0.0.0/0")
    texts = ("192.168.1.10/32", "10.0.0.0/8", "2001:db8::/32", "::/0", "0.0.0.0/0")
    assert settings.always_allow == tuple(ip_network(text) for text in texts)
