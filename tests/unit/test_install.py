# SPDX-License-Identifier: MIT
"""`make install` and `make uninstall`, in a scratch root, without a network; the unit, as systemd sees it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from demanded import lacking

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path("/opt/spale-test")
EXPOSURE = 3.5
"""What `systemd-analyze security` says at most; docs/operations.md has what it says here."""

INSTALLED = (
    "opt/spale-test/sbin/spale",
    "opt/spale-test/bin/spale-send",
    "opt/spale-test/bin/spale-keygen",
    "opt/spale-test/lib/systemd/system/spale.service",
    "opt/spale-test/lib/sysusers.d/spale.conf",
    "opt/spale-test/lib/tmpfiles.d/spale.conf",
    "opt/spale-test/share/doc/spale/sshd-requires-spale.conf",
    "opt/spale-test/share/man/man8/spale.8",
    "opt/spale-test/share/bash-completion/completions/spale",
    "etc/spale/spale.conf",
)


def make(what, destdir, *options):
    """Do what the Makefile does, with a scratch root."""
    command = [sys.executable, ROOT / "tools/install.py", what, "--destdir", destdir, "--prefix", PREFIX]
    folders = ["--sysconfdir", "/etc", "--unitdir", PREFIX / "lib/systemd/system"]
    return subprocess.run(
        [*command, *folders, *options], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a scratch root with spale installed."""
    made = tmp_path_factory.mktemp("root")
    done = make("install", made)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return made


def files(tree):
    """Return all files and links below `tree`."""
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_symlink() or path.is_file()}


def run(tree, command, *words):
    """Run an installed command, as far as that is possible while it is not in its place."""
    home = tree / PREFIX.relative_to("/") / "lib/spale"
    return subprocess.run(
        [home / "bin/python", "-I", home / "bin" / command, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_everything_is_in_its_place(tree):
    """Below DESTDIR, and nothing in it knows of DESTDIR, not even what was compiled."""
    assert set(INSTALLED) <= files(tree)
    for name in files(tree):
        path = tree / name
        named = path.readlink() if path.is_symlink() else path.read_bytes()
        assert str(tree).encode() not in bytes(named), name
    (unit,) = tree.rglob("spale.service")
    assert f"ExecStart={PREFIX}/sbin/spale run" in unit.read_text()
    assert "@" not in re.sub(r"@(system-service|[a-z]+)\b", "", unit.read_text())


def test_the_commands_run(tree):
    """From what was installed alone, with all plugins."""
    assert run(tree, "spale", "--version").startswith("spale ")
    for command in ("spale-send", "spale-keygen"):
        assert command in run(tree, command, "--help")
    listed = run(tree, "spale", "plugins")
    assert all(plugin in listed for plugin in ("tc", "xdp", "hpke", "sqlite"))


def test_nothing_is_compiled_at_a_start(tree):
    """The service may write nothing there, so all modules are there compiled, and taken as they are."""
    before = files(tree)
    assert any(name.endswith(".pyc") for name in before)
    run(tree, "spale", "--version")
    assert files(tree) == before


def test_a_removal_leaves_the_configuration(tree, tmp_path):
    """And nothing else, no folder either, however often; also where DESTDIR has been moved since."""
    root = tmp_path / "another root"
    shutil.copytree(tree, root, symlinks=True)
    for _ in range(2):
        assert make("uninstall", root).returncode == 0
        left = {str(path.relative_to(root)) for path in root.rglob("*")}
        assert left == {"etc", "etc/spale", "etc/spale/clients", "etc/spale/spale.conf"}


@pytest.mark.parametrize("name", ["data", "pyvenv.cfg"])
def test_what_is_not_ours_is_left_alone(tmp_path, name):
    """A folder that is there by another's doing, a package's or a venv, is neither replaced nor removed."""
    stranger = tmp_path / "opt/spale-test/lib/spale" / name
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    link = tmp_path / "opt/spale-test/sbin/spale"
    link.parent.mkdir()
    link.symlink_to("../lib/spale/bin/spale")
    before = files(tmp_path)
    for what in ("install", "uninstall"):
        done = make(what, tmp_path)
        assert done.returncode == 1
        assert "is not ours" in done.stderr
        assert "apt remove spale" in done.stderr
    assert files(tmp_path) == before


def test_a_python_that_does_not_fit(tmp_path):
    """Nothing is installed for a Python of another version than what .venv has packages for."""
    done = make("install", tmp_path, "--python", "/bin/false")
    assert done.returncode == 1
    assert "no Python" in done.stderr
    assert files(tmp_path) == set()


@pytest.fixture(scope="module")
def unit(tree, tmp_path_factory):
    """Return the installed unit, with the paths that its program has now."""
    if shutil.which("systemd-analyze") is None:
        lacking("no systemd-analyze; apt-get install systemd")
    (found,) = tree.rglob("spale.service")
    path = tmp_path_factory.mktemp("unit") / "spale.service"
    path.write_text(found.read_text().replace(str(PREFIX), f"{tree}{PREFIX}"))
    return path


def analyze(*words):
    """Run systemd-analyze; return what it said."""
    done = subprocess.run(
        [shutil.which("systemd-analyze"), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_understands_the_unit(unit):
    """Every key, every value, every command."""
    assert not [line for line in analyze("verify", "--man=no", str(unit)).splitlines() if unit.name in line]


def test_the_unit_is_no_more_exposed_than_documented(unit):
    """By systemd's own count, from 0 to 10."""
    said = analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(unit))
    assert float(re.search(r"exposure level for spale\.service: ([0-9.]+)", said)[1]) <= EXPOSURE


@pytest.mark.parametrize("tool", ["systemd-sysusers", "systemd-tmpfiles"])
def test_user_and_folder_are_made(tree, tmp_path, tool):
    """The snippets are understood."""
    if shutil.which(tool) is None or os.geteuid() != 0:
        pytest.skip(f"not root, or no {tool}; apt-get install systemd")
    (path,) = tree.rglob(f"{tool.removeprefix('systemd-')}.d/spale.conf")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    create = ["--create"] if tool == "systemd-tmpfiles" else []
    subprocess.run([tool, f"--root={tmp_path}", *create, path], check=True, timeout=60, capture_output=True)
    if create:
        assert (tmp_path / "run/spale").stat().st_mode & 0o777 == 0o755
    else:
        assert "spale:x:" in (tmp_path / "etc/passwd").read_text()
