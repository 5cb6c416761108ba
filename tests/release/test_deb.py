# SPDX-License-Identifier: MIT
"""The Debian package: what is in it, and what its installation, upgrade and removal do in a bare Debian."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import debian_room
import pytest
from debian_room import LATE_S, Room, said

ROOT = Path(__file__).resolve().parents[2]
BUILD_S = 300.0

SERVED = """\
IFACE=door0
LISTEN_PORT=5555
PROTECTED_PORTS=22
"""
"""A configuration that protects something."""

PYTHON = "/usr/lib/spale/bin/python"

IN_A_CHROOT = """\
mkdir /run/chroot
mount -t tmpfs none /run/chroot
for each in bin sbin lib lib64; do cp -a "/$each" /run/chroot/; done
mkdir -m 1777 /run/chroot/tmp
for each in etc usr var proc sys dev; do
    mkdir "/run/chroot/$each"
    mount --rbind "/$each" "/run/chroot/$each"
done
exec chroot /run/chroot "$@"
"""
"""Run a command with another root, in which the same is installed."""


@pytest.fixture(scope="session")
def package():
    """Return the package that the session has built."""
    found = sorted((ROOT / "dist").glob("spale_*.deb"), key=lambda path: path.stat().st_mtime)
    assert found, "there is no dist/spale_*.deb; .venv/bin/nox -s deb builds and tests it"
    return found[-1]


def built(like, folder, *options):
    """Build a package once more, elsewhere, as if at the same time; return it."""
    epoch = like.read_bytes()[24:36].decode()  # of the first file in an ar(5) archive
    script = ROOT / "tools/debian_package.py"
    command = [sys.executable, script, "--work", folder / "work", "--out", folder, *options]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch.strip()}
    try:
        return Path(said(*command, timeout=BUILD_S, env=environment).splitlines()[-1])
    finally:
        shutil.rmtree(folder / "work", ignore_errors=True)


@pytest.fixture(scope="session")
def newer(package, tmp_path_factory):
    """Return a package of the next revision."""
    return built(package, tmp_path_factory.mktemp("newer"), "--revision", "2")


@pytest.fixture(scope="session")
def debian(package, tmp_path_factory):
    """Return the root of a Debian that has what the package depends on."""
    made = debian_room.base(package, tmp_path_factory.mktemp("base"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def room(debian, tmp_path):
    """Return a room in which nothing is installed yet."""
    made = Room(debian, tmp_path)
    yield made
    made.close()


@pytest.fixture
def booted(debian, tmp_path):
    """Return a room whose systemd runs."""
    made = Room(debian, tmp_path, "multi-user.target")
    yield made
    made.close()


def add_interface(room, name, namespace=None):
    """Give a room an interface, in its own network or in a named one that is made for it."""
    own = "IPRoute()" if namespace is None else f"NetNS({namespace!r}, flags=os.O_CREAT)"
    script = f"""
import os
from pyroute2 import IPRoute, NetNS

with {own} as ip:
    ip.link("add", ifname="{name}", kind="veth", peer={{"ifname": "far-{name}"}})
    ip.link("set", index=ip.link_lookup(ifname="{name}")[0], state="up")
"""
    room.run(PYTHON, "-I", "-B", "-c", script)


def configure(room):
    """Make keys and a configuration, as the words at the installation say."""
    room.run("spale-keygen", "server", "--install")
    room.run("spale-keygen", "client", "--name", "anna", "--install", "--out", "/mnt")
    room.run("rm", "/mnt/anna.key")
    (room.root / "etc/spale/spale.conf").write_text(SERVED)


def test_what_is_in_it(package):
    """Commands, unit, pages and completion in Debian's places; nobody but root may write; no caches."""
    listed = [line.split(maxsplit=5) for line in said("dpkg-deb", "--contents", package).splitlines()]
    assert {owner for _, owner, *_ in listed} == {"root/root"}
    files = {entry[5].split(" -> ")[0].removeprefix("."): entry[0] for entry in listed}
    assert not [name for name, mode in files.items() if mode[0] != "l" and (mode[5] == "w" or mode[8] == "w")]
    assert not [name for name in files if "__pycache__" in name or "direct_url" in name]
    assert {
        "/usr/sbin/spale",
        "/usr/bin/spale-send",
        "/usr/bin/spale-keygen",
        "/lib/systemd/system/spale.service",
        "/usr/lib/sysusers.d/spale.conf",
        "/usr/share/man/man8/spale.8.gz",
        "/usr/share/man/man5/spale.conf.5.gz",
        "/usr/share/man/man1/spale-send.1.gz",
        "/usr/share/bash-completion/completions/spale",
        "/usr/share/zsh/vendor-completions/_spale",
        "/usr/share/fish/vendor_completions.d/spale.fish",
        "/usr/share/doc/spale/copyright",
        "/usr/share/spale/spale.conf.example",
    } <= set(files)
    assert [name for name in files if name.startswith("/etc")] == [
        "/etc/",
        "/etc/spale/",
        "/etc/spale/clients/",
    ]
    assert "conffiles" not in said("dpkg-deb", "--info", package)


def test_built_again_it_is_the_same(package, tmp_path):
    """To the byte, in another folder."""
    assert built(package, tmp_path).read_bytes() == package.read_bytes()


def test_lintian_is_content(package):
    """No errors, no warnings, but for those that packaging/debian/spale.lintian-overrides has reasons for."""
    said("lintian", "--no-cfg", "--allow-root", "--fail-on", "error,warning", package, timeout=BUILD_S)


@pytest.mark.kernel
def test_it_works_there(room, package):
    """Installed by apt it says that nothing is guarded yet, and all commands run."""
    told = room.install(package)
    assert "neither started nor enabled" in told
    assert room.run("spale", "--version").startswith("spale ")
    assert not list((room.root / "etc/systemd").rglob("spale.service")), "it is enabled"
    for command in ("spale", "spale-send", "spale-keygen"):
        assert command in room.run(command, "--help")
    assert (room.root / "etc/spale/spale.conf").stat().st_mode & 0o777 == 0o600
    assert (room.root / "etc/spale").stat().st_mode & 0o777 == 0o755
    assert "spale:x:" in (room.root / "etc/passwd").read_text()
    configure(room)
    assert (room.root / "etc/spale/server.key").stat().st_mode & 0o777 == 0o600
    add_interface(room, "door0")
    room.run("spale", "check")
    before = room.run("find", "/usr/lib/spale")
    for dataplane in ("tc", "xdp"):
        shown = room.run("spale", "demo", "--dataplane", dataplane)
        assert re.search(rf"ready \({dataplane}\b.*\)", shown), shown
    assert room.run("find", "/usr/lib/spale") == before, "something was compiled only now"


@pytest.mark.kernel
def test_an_upgrade_keeps_what_is_there(room, package, newer):
    """Configuration, keys, and what is attached: the ports stay shut."""
    room.install(package)
    configure(room)
    add_interface(room, "door0")
    daemon = room.begin("spale", "run")
    key = (room.root / "etc/spale/server.key").read_bytes()
    told = room.install(newer)
    assert "open now" not in told
    assert "neither started" not in told
    assert room.run("dpkg-query", "--show", "--showformat=${Version}", "spale").endswith("-2")
    assert (room.root / "etc/spale/spale.conf").read_text() == SERVED
    assert (room.root / "etc/spale/server.key").read_bytes() == key
    assert daemon.process.poll() is None
    assert "from door0" in room.run("spale", "detach")
    daemon.process.wait(LATE_S)


@pytest.mark.kernel
def test_a_removal_opens_and_says_so(room, package):
    """What a running daemon guards, and what an earlier one left shut in a named network; settings stay."""
    room.install(package)
    configure(room)
    add_interface(room, "door0")
    add_interface(room, "door1", "office")
    running = room.begin("spale", "run")
    elsewhere = ["nsenter", "--net=/run/netns/office"]
    words = ["spale", "run", "-i", "door1", "--name", "office", "--dataplane", "xdp"]
    stopped = room.begin(*elsewhere, *words)
    stopped.stop()
    told = room.apt("remove", "spale")
    assert re.search(r"spale: detached \w+ from door0; what was protected there is open now", told), told
    assert re.search(r"spale: detached \w+ from door1 in network namespace office; ", told), told
    running.process.wait(LATE_S)
    assert not (room.root / "usr/lib/spale").exists()
    assert (room.root / "etc/spale/spale.conf").read_text() == SERVED
    room.install(package)
    for where in ([], elsewhere):
        assert "nothing of ours" in room.run(*where, "spale", "detach")
    room.run("rm", "-r", "/usr/lib/spale")
    assert "spale: could not look for what is attached:" in room.apt("remove", "spale")
    assert "deinstall" in room.run("dpkg-query", "--show", "--showformat=${Status}", "spale")


@pytest.mark.kernel
def test_a_removal_in_a_chroot_leaves_the_network(room, package):
    """For it is the system's around it. And a program that has lost an enforcer says so when it goes."""
    room.install(package)
    configure(room)
    add_interface(room, "door0")
    room.begin("spale", "run").stop()
    chroot = ["unshare", "--mount", "sh", "-ec", IN_A_CHROOT, "sh"]
    told = room.run(*chroot, "apt-get", "--quiet", "--yes", "remove", "spale")
    assert "this is a chroot" in told
    assert "open now" not in told
    assert not (room.root / "usr/lib/spale").exists()
    room.install(package)
    (packages,) = (room.root / "usr/lib/spale/lib").glob("python3.*/site-packages")
    (packages / "spale_tc/__init__.py").write_text("raise ImportError('broken')")
    told = room.apt("remove", "spale")
    assert "spale: could not look for all that is attached: spale: left out:" in told
    assert "tc qdisc del dev NAME clsact" in told
    room.install(package)
    assert "from door0" in room.run("spale", "detach")


@pytest.mark.kernel
def test_a_purge_leaves_nothing(room, package):
    """All files, folders and users are those of before the installation."""
    users = [(room.root / "etc" / name).read_text() for name in ("passwd", "group", "shadow")]
    before = room.files()
    room.install(package)
    configure(room)
    add_interface(room, "door0")
    daemon = room.begin("spale", "run")
    daemon.stop()
    assert (room.root / "var/lib/spale/spale.db").exists()
    told = room.apt("purge", "spale")
    assert "also the keys of the server" in told
    assert room.files() == before
    assert users == [(room.root / "etc" / name).read_text() for name in ("passwd", "group", "shadow")]
    assert not (room.root / "sys/fs/bpf/spale").exists()


@pytest.mark.kernel
def test_the_service_goes_through_it(booted, package, newer):
    """Enabled by hand; an upgrade restarts it without a gap, a removal ends it and opens."""
    booted.install(package)
    configure(booted)
    add_interface(booted, "door0")
    assert booted.run("systemctl", "show", "--property=ActiveState", "--value", "spale").strip() == "inactive"
    booted.run("systemctl", "enable", "--now", "spale")
    first = booted.run("systemctl", "show", "--property=MainPID", "--value", "spale")
    told = booted.install(newer)
    assert "open now" not in told
    second = booted.run("systemctl", "show", "--property=MainPID", "--value", "spale")
    assert second not in (first, "0\n")
    assert "guards" in booted.run("systemctl", "show", "--property=StatusText", "--value", "spale")
    with (booted.root / "etc/spale/spale.conf").open("a") as config:
        config.write("IDEL_SEC=5\n")
    assert "does not start again: ports stay shut" in booted.install(package, "--allow-downgrades")
    assert "from door0; what was protected there is open now" in booted.apt("purge", "spale")
    assert not list((booted.root / "etc/systemd").rglob("spale.service"))
    assert not booted.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "spale.service")
