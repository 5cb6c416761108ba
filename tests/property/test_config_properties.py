# SPDX-License-Identifier: MIT
"""The configuration parser takes anything, raises nothing but its own error, and prints back what it took."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from spale_core.config import loader
from spale_core.config.keys import CLIENT_DEFINITIONS, DEFINITIONS
from spale_core.config.mistakes import BadValueError
from spale_core.config.ports import format_services, parse_services
from spale_core.config.printer import write_settings
from spale_core.config.reader import quote, unquote
from spale_core.errors import ConfigError
from spale_core.model import Protocol, Service

PLUGINS = ("hpke", "memory", "sqlite", "tc", "xdp", "foo")
KEYS = [each.key for each in DEFINITIONS] + ["MODE"] + [f"ADMIN_{each.suffix}" for each in CLIENT_DEFINITIONS]


@pytest.fixture(scope="module")
def base():
    """Return a folder with keys, and the lines that every configuration needs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, client = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        key = folder / "server.key"
        key.touch(mode=0o600)
        key.write_bytes(server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "clients").mkdir(mode=0o700)
        public = client.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "clients" / "admin.pem").write_bytes(public)
        yield Base(folder)


class Base:
    """The folder, and how to read a configuration in it."""

    def __init__(self, folder):
        """Take the folder."""
        self.folder = folder
        self.lines = {
            "IFACE": "lo",
            "LISTEN_PORT": "55555",
            "PROTECTED_PORTS": "1-100/tcp,200/udp",
            "SERVER_KEY": f"{folder}/server.key",
            "CLIENTS_DIR": f"{folder}/clients",
            "STATE_DIR": f"{folder}/state",
        }

    def load(self, content: bytes, options=None, environ=None):
        """Return the settings that a file with `content` makes."""
        path = self.folder / "spale.conf"
        path.touch(mode=0o600)
        path.write_bytes(content)
        return loader.load(options or {}, environ or {}, path, available=PLUGINS)


def load_or_refuse(base, *given):
    """Load; if that is refused, every line must name a place and something wrong, and none may be broken."""
    try:
        base.load(*given)
    except ConfigError as error:
        lines = str(error).split("\n")
        if not all(": " in line and line.isprintable() for line in lines):
            pytest.fail(f"not a list of mistakes: {lines}")


@given(content=st.binary(max_size=200))
@example(content=b"IFACE=\xff\nLISTEN_PORT=\0\n=\n\r\n#\n'")
def test_any_bytes_are_settings_or_mistakes(base, content):
    """Nothing else is raised, and no message holds what could break a terminal or a line."""
    load_or_refuse(base, content)


numbers = st.one_of(st.integers(-3, 130), st.integers(-(2**70), 2**70)).map(str)
ports = st.lists(
    st.one_of(
        st.integers(0, 300).map(str),
        st.tuples(st.integers(0, 110), st.integers(0, 110)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    ).flatmap(lambda port: st.sampled_from([port, f"{port}/tcp", f"{port}/udp"])),
    max_size=5,
).map(",".join)
prefixes = st.lists(
    st.one_of(
        st.ip_addresses().map(str),
        st.tuples(st.ip_addresses(v=4), st.integers(0, 33)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.integers(0, 32).map(lambda bits: f"0.0.0.0/{bits}"),
        st.integers(0, 128).map(lambda bits: f"2001:db8::/{bits}"),
    ),
    max_size=3,
).map(", ".join)
dates = st.one_of(st.dates().map(str), st.datetimes().map(lambda moment: moment.isoformat()))
names = st.sampled_from(["tc", "xdp", "foo", "hpke", "hpke,foo", "memory", "libbpf", "lo", "nobody"])
words = st.sampled_from(["0", "1", "info", "WARN", "keep", "detach", "auto", "native", "generic"])
paths = st.sampled_from(["::1", "127.0.0.1", "/", "/nowhere/a b", "'/a #b'", '"/a\\"b"'])
values = st.one_of(numbers, ports, prefixes, dates, names, words, paths, st.text(max_size=20))
keys = st.sampled_from(KEYS)


@given(changes=st.dictionaries(keys, values, max_size=6), extra=st.text(max_size=30))
def test_near_misses_are_settings_or_mistakes(base, changes, extra):
    """The same with lines that look almost right."""
    lines = [f"{key}={value}" for key, value in (base.lines | changes).items()]
    load_or_refuse(base, "\n".join([*lines, extra]).encode("utf-8"))


@given(options=st.dictionaries(keys, values, max_size=4), environ=st.dictionaries(keys, values, max_size=4))
def test_options_and_environment_are_settings_or_mistakes(base, options, environ):
    """They hold what no file can: line breaks, anything."""
    content = "".join(f"{key}={value}\n" for key, value in base.lines.items()).encode()
    prefixed = {f"SPALE_{key}": value for key, value in environ.items()}
    load_or_refuse(base, content, options, prefixed)


windows = st.one_of(st.just("-1"), st.integers(1, 2**31 - 1).map(str))
some_ports = st.lists(st.integers(1, 100), min_size=1, max_size=6)
GOOD = {
    "IDLE_SEC": windows,
    "GRACE_SEC": windows,
    "MAX_SEC": windows,
    "SESSION_SEC": st.integers(0, 2**31 - 1).map(str),
    "PROTECTED_PORTS": some_ports.map(lambda found: f"1-100/tcp,{found[0] + 90},{found[-1]}/udp"),
    "PORTS": some_ports.map(lambda found: ",".join(f"{port}/tcp" for port in found)),
    "ALWAYS_ALLOW": prefixes,
    "SOURCES": prefixes.filter(bool),
    "EXPIRES": dates,
    "LISTEN_PORT": st.integers(201, 65535).map(str),
    "STATE_DIR": st.text("ab /#'\"\\=,", min_size=1, max_size=9).map(lambda text: quote(f"/nowhere/{text}")),
    "LOG_LEVEL": st.sampled_from(["debug", "INFO", "warn", "error"]),
    "ON_EXIT": st.sampled_from(["keep", "detach"]),
    "XDP_MODE": st.sampled_from(["auto", "native", "generic"]),
    "DATAPLANE": st.sampled_from(["tc", "xdp", "foo"]),
    "AUTH": st.sampled_from(["hpke", "hpke, foo", "foo,hpke"]),
    "STORE": st.sampled_from(["memory", "sqlite"]),
    "DROP_PRIVS": st.just("nobody"),
    "LOADER": st.sampled_from(["libbpf", "bcc"]),
    "LISTEN_ADDR": st.ip_addresses(v=4).map(str),
    "LISTEN_ADDR6": st.ip_addresses(v=6).map(str),
    "LOG_ONLY": st.sampled_from("01"),
    "ADOPT": st.sampled_from("01"),
    "REQUIRE_SOURCE_BINDING": st.sampled_from("01"),
}
"""Values that are good for a key, or nearly always; without one it takes numbers from 110 to 120."""

FIXED = {"MODE", "IFACE", "SERVER_KEY", "CLIENTS_DIR", "ADMIN_AUTH", "AUTH", "STORE"}
SETTABLE = [key for key in KEYS if key not in FIXED] + ["AUTH"]


def value_of(key: str) -> st.SearchStrategy[str]:
    """Return values that are good for `key`."""
    return GOOD.get(key.removeprefix("ADMIN_"), st.integers(110, 120).map(str))


good = st.lists(st.sampled_from(SETTABLE), unique=True, min_size=1, max_size=6).flatmap(
    lambda chosen: st.fixed_dictionaries({key: value_of(key) for key in chosen})
)


@given(changes=good)
@example(changes={"ADMIN_EXPIRES": "2027-12-31T18:00:00.250"})
@example(
    changes={"ADMIN_PORTS": "7-9/tcp,200/udp", "ADMIN_SOURCES": "::/0,0.0.0.0/0", "ADMIN_IDLE_SEC": "-1"}
)
@example(
    changes={"STATE_DIR": quote('/a "b" # c\\'), "ALWAYS_ALLOW": "", "SPA_RL_RATE": "0", "SPA_RL_BURST": "0"}
)
@example(changes={"LOG_ONLY": "1", "REQUIRE_SOURCE_BINDING": "1", "ON_EXIT": "detach", "XDP_MODE": "generic"})
def test_what_is_accepted_is_printed_back_equal(base, changes):
    """The printer's text makes the same settings, and printing those gives the same text."""
    content = "".join(f"{key}={value}\n" for key, value in (base.lines | changes).items())
    try:
        settings = base.load(content.encode("utf-8"))
    except ConfigError:
        return
    text = write_settings(settings)
    again = base.load(text.encode("utf-8", "surrogateescape"))
    assert again == settings
    assert write_settings(again) == text


services = st.frozensets(
    st.builds(Service, st.sampled_from(Protocol), st.integers(1, 65535) | st.integers(20, 30)), min_size=1
)


@given(wanted=services)
def test_services_are_written_as_they_are_read(wanted):
    """Ranges and bare ports are only a shorter way to write the same set."""
    assert parse_services(format_services(wanted)) == wanted


@given(text=ports)
def test_a_list_of_ports_is_a_union(text):
    """Order and repetition do not matter."""
    try:
        found = parse_services(text)
    except BadValueError:
        return
    items = text.split(",")
    assert found == parse_services(",".join([*reversed(items), *items]))
    assert found == frozenset().union(*(parse_services(item) for item in items))


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20))
def test_any_value_can_be_quoted(value):
    """What `quote` writes `unquote` reads as it was."""
    assert unquote(quote(value)) == value
