# SPDX-License-Identifier: MIT
"""What the Debian package's own scripts do, on a system that is a few files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).resolve().parents[2] / "packaging/debian"

NOTHING = "echo 'nothing of ours was attached to any interface in this network namespace'"
REMEDY = "tc qdisc del dev NAME clsact"


@pytest.fixture
def system(tmp_path):
    """Return the root of a system: process 1 is at home there, and spale is installed."""
    (tmp_path / "proc/1/ns").mkdir(parents=True)
    (tmp_path / "proc/1/root").symlink_to("/")
    (tmp_path / "proc/1/ns/net").touch()
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/net").symlink_to(tmp_path / "proc/1/ns/net")
    (tmp_path / "usr/lib/spale/lib/__pycache__").mkdir(parents=True)
    (tmp_path / "usr/sbin").mkdir()
    detaches(tmp_path, NOTHING)
    return tmp_path


def detaches(system, script):
    """Let `spale detach` be a script."""
    command = system / "usr/sbin/spale"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def script(system, name, *words):
    """Run a script of the package, as dpkg does; return what it said."""
    text = (PACKAGING / f"spale.{name}").read_text()
    for folder in ("/usr/", "/run/", "/proc/", "/etc/"):
        text = text.replace(folder, f"{system}{folder}")
    done = subprocess.run(
        ["/bin/sh", "-c", text, "sh", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_nothing_is_attached_nothing_is_said(system):
    """And what was compiled is gone."""
    assert script(system, "prerm", "remove") == ""
    assert not list(system.rglob("__pycache__"))


def test_what_is_open_is_said(system):
    """A line for each program."""
    detaches(system, "echo 'detached tcx from eth0'; echo 'a daemon that has nothing left to guard ends'")
    said = script(system, "prerm", "remove")
    assert said == "spale: detached tcx from eth0; what was protected there is open now\n"


def test_a_part_that_could_not_look_is_said(system):
    """Not all enforcers could be loaded, so ports may stay shut: with what opens them."""
    detaches(
        system, f"echo 'spale: left out: plugin tc: broken' >&2; echo 'detached xdp from eth0'; {NOTHING}"
    )
    said = script(system, "prerm", "remove")
    assert "spale: detached xdp from eth0; what was protected there is open now\n" in said
    assert "plugin tc: broken" in said
    assert REMEDY in said
    assert "nothing of ours" not in said


def test_a_program_that_is_broken_can_be_removed(system):
    """Its last words are said, and what opens the ports."""
    detaches(system, "echo 'no module' >&2; exit 1")
    said = script(system, "prerm", "remove")
    assert "could not look for what is attached: no module" in said
    assert REMEDY in said


@pytest.mark.parametrize("words", [("remove",), ("upgrade", "2")])
def test_a_program_that_is_gone_can_be_removed(system, words):
    """Somebody has deleted its folder: dpkg can go on, to remove it or to repair it."""
    (system / "usr/lib/spale/lib/__pycache__").rmdir()
    (system / "usr/lib/spale/lib").rmdir()
    (system / "usr/lib/spale").rmdir()
    detaches(system, "exit 127")
    assert ("could not look" in script(system, "prerm", *words)) == (words == ("remove",))
    for action in ("abort-upgrade", "abort-remove"):
        script(system, "postinst", action, "1")


def elsewhere(system):
    """Let process 1 have another root than the script."""
    (system / "proc/1/root").unlink()
    (system / "proc/1/root").symlink_to(system)


def test_in_a_chroot_the_network_stays_as_it_is(system):
    """For it is another system's, whose ports would be open; it is said how to open them."""
    elsewhere(system)
    detaches(system, "echo 'detached tcx from eth0'")
    said = script(system, "prerm", "remove")
    assert "left as it is" in said
    assert "spale detach" in said
    assert "open now" not in said


def test_a_chroot_without_proc(system):
    """No system of its own lacks it."""
    (system / "proc").rename(system / "nowhere")
    assert "left as it is" in script(system, "prerm", "remove")


def test_a_container_with_a_network_of_its_own_is_none(system):
    """Even if it sees the processes of the host."""
    elsewhere(system)
    (system / "proc/self/ns/net").unlink()
    (system / "proc/self/ns/net").touch()
    detaches(system, "echo 'detached tcx from eth0'")
    assert "open now" in script(system, "prerm", "remove")


def test_where_process_1_is_a_secret_it_is_none(system):
    """As in containers with few privileges: better to open too much than to lock out."""
    (system / "proc/1/root").unlink()
    detaches(system, "echo 'detached tcx from eth0'")
    assert "open now" in script(system, "prerm", "remove")
