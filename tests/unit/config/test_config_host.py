# SPDX-License-Identifier: MIT
"""What of a configuration depends on the host: interfaces, users, folders; and the warnings."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest
from attrs import evolve

from spale_core.config.host import absent_interfaces
from spale_core.config.warnings import find_warnings

NOW = 1_800_000_000_000


def test_an_unknown_interface(lab):
    """The ones that are there are named."""
    (found,) = lab.mistakes("IFACE=lo,nope0")
    assert found.startswith("LAB/spale.conf:1: IFACE: 'nope0' is no interface of this host; there are 'lo'")


def test_an_interface_that_is_waited_for(lab):
    """With WAIT_INTERFACE it may come later; what can be no name of an interface is a mistake as ever."""
    settings = lab.load("IFACE=lo,nope0", "WAIT_INTERFACE=1")
    assert (settings.interfaces, settings.wait_interface) == (("lo", "nope0"), True)
    assert absent_interfaces(settings.interfaces) == ["nope0"]
    (found,) = lab.mistakes("IFACE=lo,no/pe0", "WAIT_INTERFACE=1")
    assert "cannot be an interface" in found


def test_several_interfaces_from_one_line(lab):
    """In the order in which they were written, which is that of the log."""
    assert lab.load("IFACE= lo ").interfaces == ("lo",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_users(lab):
    """A user or group that does not exist, and root itself, are mistakes; a user with a group is fine."""
    assert lab.load("DROP_PRIVS=nobody:nogroup").drop_privs == "nobody:nogroup"
    at = "LAB/spale.conf:7: DROP_PRIVS: "
    assert lab.mistakes("DROP_PRIVS=root") == [f"{at}'root' is root; name a user of its own, as spale"]
    assert lab.mistakes("DROP_PRIVS=nobody:root") == [f"{at}the group 'root' is root's; name another"]
    assert lab.mistakes("DROP_PRIVS=no-such-user:no-such-group") == [
        f"{at}'no-such-user' is no user of this host; `useradd --system no-such-user` makes it one",
        f"{at}'no-such-group' is no group of this host; `groupadd --system no-such-group` makes it one",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user(lab):
    """May run with keys of his own, but cannot become somebody else, nor read what is root's."""
    with tempfile.TemporaryDirectory() as name:
        own = type(lab)(Path(name))
        own.put()
        for path in (own.folder, *own.folder.rglob("*")):
            os.chown(path, 65534, 65534)
        own.folder.chmod(0o755)
        os.seteuid(65534)
        try:
            assert own.load_file().listen_port == 55555
            (found,) = own.mistakes("DROP_PRIVS=nobody")
            assert found.endswith(
                ": only root can become another user; leave it out, the listener keeps this uid"
            )
            os.seteuid(0)
            os.chown(own.server_key, 0, 0)
            os.seteuid(65534)
            (found,) = own.mistakes()
            assert found.endswith("LAB/server.key cannot be opened by uid 65534; run as its owner or as root")
        finally:
            os.seteuid(0)


def test_a_state_folder_that_others_may_write(lab):
    """Also one that is not there yet: they could make it before us."""
    (lab.folder / "open").mkdir()
    (lab.folder / "open").chmod(0o777)
    for path in ("open", "open/state"):
        (found,) = lab.mistakes(f"STATE_DIR={lab.folder}/{path}")
        assert found == (
            "LAB/spale.conf:6: STATE_DIR: LAB/open may be written by others (mode 0777); chmod go-w LAB/open"
        )


def test_a_socket(lab):
    """Its folder may be missing, but nobody else may write it; with a name it has the name, too."""
    settings = lab.load(f"SOCKET={lab.folder}/run/spale.sock", options={"NAME": "office"})
    assert settings.own(settings.socket) == lab.folder / "run" / "spale.sock-office"
    (lab.folder / "open").mkdir()
    (lab.folder / "open").chmod(0o777)
    (found,) = lab.mistakes(f"SOCKET={lab.folder}/open/spale.sock")
    assert found.endswith("SOCKET: LAB/open may be written by others (mode 0777); chmod go-w LAB/open")
    (lab.folder / "file").touch()
    (found,) = lab.mistakes(f"SOCKET={lab.folder}/file")
    assert found.endswith("SOCKET: LAB/file is there and is no socket; name another path")
    (found,) = lab.mistakes(f"SOCKET=/run/{'x' * 103}")
    assert found.endswith("has 108 bytes, too many for a socket; write at most 107")
    assert lab.load(f"SOCKET=/run/{'x' * 102}")
    (found,) = lab.mistakes(f"SOCKET=/run/{'x' * 102}", options={"NAME": "a"})
    assert "has 109 bytes" in found


def test_a_group_of_readers(lab):
    """It must be there."""
    assert lab.load("SOCKET_GROUP=users").socket_group == "users"
    (found,) = lab.mistakes("SOCKET_GROUP=no-such-group")
    assert found == (
        "LAB/spale.conf:7: SOCKET_GROUP: 'no-such-group' is no group of this host; "
        "`groupadd --system no-such-group` makes it one"
    )
    (found,) = lab.mistakes("SOCKET_GROUP=users:adm")
    assert "names no group" in found


class Host:
    """A made-up /proc/sys/net and /sys/class/net."""

    def __init__(self, folder):
        """Begin with nothing worth a warning."""
        self.proc, self.sys = folder / "proc", folder / "sys"
        self.set("ipv4/ip_local_port_range", "32768\t60999")
        self.set("ipv4/ip_local_reserved_ports", "")
        self.set("ipv4/ip_forward", "0")
        self.set("ipv6/conf/all/forwarding", "0")

    def set(self, name, text):
        """Write one switch."""
        path = self.proc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def warnings(self, settings):
        """Return what is warned about, but for the users, which are this host's."""
        found = find_warnings(settings, NOW, proc=self.proc, sys=self.sys)
        return [warning for warning in found if not warning.startswith("DROP_PRIVS")]


@pytest.fixture
def host(tmp_path):
    """Return a host about which nothing is to be said."""
    return Host(tmp_path)


def test_nothing_to_warn_about(lab, host):
    """A plain configuration on a plain host."""
    assert host.warnings(lab.load()) == []


def test_ports_that_the_host_uses_for_itself(lab, host):
    """The remedy keeps what is reserved already, and then there is no warning."""
    host.set("ipv4/ip_local_reserved_ports", "8080,40000-40001")
    settings = lab.load("PROTECTED_PORTS=22,40000,50000-50001/udp,50001/tcp")
    (found,) = host.warnings(settings)
    assert found == (
        "PROTECTED_PORTS: 50000/udp,50001 lies inside ip_local_port_range (32768-60999), so replies to this "
        "host's own connections from there would be dropped; reserve it: "
        "sysctl -w net.ipv4.ip_local_reserved_ports=8080,40000-40001,50000-50001"
    )
    host.set("ipv4/ip_local_reserved_ports", found.rpartition("=")[2])
    assert host.warnings(settings) == []


def test_a_host_that_forwards(lab, host):
    """What passes through is judged too, whoever it is for."""
    host.set("ipv4/ip_forward", "1")
    host.set("ipv6/conf/all/forwarding", "1")
    (host.sys / "lo" / "brport").mkdir(parents=True)
    judged = "packets that are forwarded to these ports are judged too"
    assert host.warnings(lab.load()) == [
        f"IFACE: lo is a port of a bridge: {judged}",
        f"IFACE: this host forwards IPv4 (ipv4/ip_forward=1): {judged}",
        f"IFACE: this host forwards IPv6 (ipv6/conf/all/forwarding=1): {judged}",
    ]


def test_an_idle_window_without_end(lab, host):
    """Behind NAT the neighbours share it."""
    lab.add_client("boss")
    (found,) = host.warnings(lab.load("BOSS_IDLE_SEC=-1"))
    assert found.startswith("IDLE_SEC: -1 for boss: an address that others share (NAT) stays open")
    (found,) = host.warnings(lab.load("IDLE_SEC=-1"))
    assert found.startswith("IDLE_SEC: -1 for admin, boss: ")


def test_always_allowing_everybody(lab, host):
    """Possible, and said."""
    (found,) = host.warnings(lab.load("ALWAYS_ALLOW=::/0,10.0.0.0/8"))
    assert found == "ALWAYS_ALLOW: ::/0 lets in all of IPv6 without a knock"


def test_a_client_that_has_expired(lab, host):
    """Its knocks will be refused; the day itself still counts."""
    (found,) = host.warnings(lab.load("ADMIN_EXPIRES=2027-01-14"))
    assert found == "EXPIRES: client admin has expired; its knocks are refused"
    assert host.warnings(lab.load("ADMIN_EXPIRES=2027-01-15")) == []


def test_a_host_that_says_nothing(lab, tmp_path):
    """Without /proc and /sys there is nothing to warn about, and no error either."""
    settings = evolve(lab.load(), drop_privs="nobody")
    assert find_warnings(settings, NOW, proc=tmp_path / "a", sys=tmp_path / "b") == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user of the listener")
def test_no_user_of_our_own(lab, host):
    """Whether spale exists on this host or not: the warning is there if it does not."""
    exists = any(user.pw_name == "spale" for user in pwd.getpwall())
    found = find_warnings(lab.load(), NOW, proc=host.proc, sys=host.sys)
    assert [warning.partition(":")[0] for warning in found] == ([] if exists else ["DROP_PRIVS"])


def test_warnings_are_part_of_the_settings(lab):
    """`check` and the log at start get them with everything else; they make no two settings differ."""
    warned, plain = lab.load("ALWAYS_ALLOW=::/0"), lab.load("ALWAYS_ALLOW=::/0")
    assert any(warning.startswith("ALWAYS_ALLOW") for warning in warned.warnings)
    assert evolve(warned, warnings=()) == plain
