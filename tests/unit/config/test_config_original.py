# SPDX-License-Identifier: MIT
"""The files of the original C program (0.3.0) work unchanged."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from spale_core.config import loader
from spale_core.config.ports import parse_services
from spale_core.model import Datagram, Source
from spale_core.schemes import find_scheme

ORIGINAL = Path(__file__).parents[2] / "fixtures" / "original"
PLUGINS = ("hpke", "hpke-v1", "memory", "sqlite", "tc", "xdp")


@pytest.fixture
def place(tmp_path):
    """Return a folder with the original's configuration and keys; only the three paths are rewritten."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    tmp_path.chmod(0o700)
    subprocess.run(["/bin/sh", ORIGINAL / "keys.sh", tmp_path], check=True, capture_output=True, timeout=30)
    (tmp_path / "server.key").chmod(0o600)
    (tmp_path / "clients").mkdir(mode=0o700)
    shutil.copy(tmp_path / "admin.pem", tmp_path / "clients" / "admin.pem")
    rewritten = {
        "IFACE=eth0": "IFACE=lo",
        "/etc/spale/server.key": str(tmp_path / "server.key"),
        "/etc/spale/clients": str(tmp_path / "clients"),
    }
    text = (ORIGINAL / "spale.conf").read_text()
    for old, new in rewritten.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / "spale.conf").write_text(text)
    (tmp_path / "spale.conf").chmod(0o644)
    return tmp_path


def test_the_originals_file_works_unchanged(place):
    """With its comments behind values, MODE, LOG_USE_SYSLOG=0 and a client's own keys."""
    settings = loader.load({}, {}, place / "spale.conf", available=PLUGINS)
    assert (settings.dataplane, settings.listen_port) == ("xdp", 55555)
    assert settings.services == parse_services("22,443,8443")
    assert (settings.idle_s, settings.grace_s, settings.rate, settings.burst) == (60, 300, 3, 3)
    expected = ("192.168.1.10", "10.0.0.0/8", "2001:db8::/32")
    assert settings.always_allow == tuple(map(ip_network, expected))
    assert (settings.log_only, settings.log_level, settings.log_syslog) == (False, "info", False)
    (admin,) = settings.clients
    assert (admin.name, admin.idle_s, admin.grace_s) == ("admin", 120, 60)
    assert admin.services == parse_services("22,8443")


def test_the_originals_clients_knock_on(place):
    """Two more lines, and a knock made with the key file that its instructions make is this client's."""
    with (place / "spale.conf").open("a") as file:
        file.write("AUTH=hpke,hpke-v1\nADMIN_AUTH=hpke-v1\n")
    settings = loader.load({}, {}, place / "spale.conf", available=PLUGINS)
    assert settings.v1_clients == (0,)
    scheme = find_scheme(settings.clients[0].auth)
    keys = [path.read_bytes() for path in settings.server_keys]
    authenticator = scheme.make_authenticator(keys, [settings.clients[0].public_key])
    payload = scheme.make_requester((place / "admin.key").read_bytes()).seal(unix_ms=1_700_000_000_000)
    came = Datagram(payload, Source(ip_address("192.0.2.7")), 40000, 1)
    claim = authenticator.authenticate(came, frozenset())
    assert (claim.client, claim.unix_ms) == (0, 1_700_000_010_000)
