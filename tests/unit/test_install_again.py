# SPDX-License-Identifier: MIT
"""`make install` where something is there already, `make uninstall`, and paths that are unusual."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from installing import record
from installing.environment import launcher
from installing.places import Places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def where(tmp_path):
    """Return folders with spaces in their names, and some that others have made there."""
    home = tmp_path / "my own"
    for folder in ("bin", "share/man", "lib/systemd"):
        (home / folder).mkdir(parents=True)
    (home / "bin/other").write_text("other")
    return Namespace(
        destdir="", prefix=str(home), sysconfdir=str(home / "etc"), unitdir=str(home / "lib/systemd/system")
    )


def make(what, where):
    """Do what the Makefile does."""
    options = (f"--{name}={value}" for name, value in vars(where).items())
    command = [sys.executable, ROOT / "tools/install.py", what, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def everything(where):
    """Return all files, links and folders."""
    return set(Path(where.prefix).rglob("*"))


def said(*command):
    """Run a command; return what it printed."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_as_it_was_before(where):
    """Commands look where SYSCONFDIR says; installed again and removed, nothing is left but settings."""
    before = everything(where)
    home, own = Path(where.prefix), Path(where.prefix) / "lib/spale"
    assert make("install", where).returncode == 0
    assert "spale-send" in said(home / "bin/spale-send", "--help")
    told = "".join(said(home / "sbin/spale", "check", "--help").split())
    assert f"{where.sysconfdir}/spale/spale.conf".replace(" ", "") in told
    assert "my\\ own/etc/spale/clients/" in (home / "share/bash-completion/completions/spale").read_text()
    assert f'ExecStart="{home}/sbin/spale" run' in (home / "lib/systemd/system/spale.service").read_text()

    # An older one had a module and a page that are no more, and somebody has changed the unit.
    (packages,) = own.glob("lib/python*/site-packages")
    (packages / "spale_core/old.py").touch()
    known = json.loads((own / record.NAME).read_text())
    page = home / "share/man/man8/spale-old.8"
    page.write_text("a page")
    known["files"][str(page)] = record.fingerprint(page)
    (own / record.NAME).write_text(json.dumps(known))
    (home / "lib/systemd/system/spale.service").write_text("[Unit]\n")
    config = Path(where.sysconfdir) / "spale/spale.conf"
    assert config.stat().st_mode & 0o777 == 0o600
    config.write_text("IFACE=eth7\n")
    (config.parent / "server.key").write_text("a key")
    assert make("install", where).returncode == 0
    assert not page.exists()
    assert not (packages / "spale_core/old.py").exists()
    assert "ExecStart" in (home / "lib/systemd/system/spale.service").read_text()

    assert make("uninstall", where).returncode == 0
    settings = {
        config,
        config.parent / "server.key",
        config.parent / "clients",
        config.parent,
        config.parents[1],
    }
    assert everything(where) - settings == before
    assert config.read_text() == "IFACE=eth7\n"


def test_what_others_have_put_there_is_not_replaced(where):
    """Everything that is in the way is named, and nothing is changed."""
    command, page = Path(where.prefix) / "bin/spale-send", Path(where.prefix) / "share/man/man8/spale.8"
    page.parent.mkdir()
    page.symlink_to("nowhere")
    command.write_text("somebody's own")
    before = everything(where)
    done = make("install", where)
    assert done.returncode == 1
    assert str(command) in done.stderr
    assert str(page) in done.stderr
    assert everything(where) == before


def test_what_has_become_anothers_is_not_removed(where, capsys):
    """A file that has been replaced since it was installed stays, and is named."""
    ours, theirs = Path(where.prefix) / "bin/spale", Path(where.prefix) / "bin/spale-send"
    ours.symlink_to("../lib/spale/bin/spale")
    theirs.write_text("pip's own")
    files = {str(ours): record.fingerprint(ours), str(theirs): "-> ../lib/spale/bin/spale-send"}
    record.remove_files(Places(where), files)
    assert not ours.is_symlink()
    assert theirs.exists()
    assert str(theirs) in capsys.readouterr().err


def test_a_command_that_was_replaced_is_not_ours_to_replace(where):
    """A link of ours may be written anew, a file in its place may not; what was not recorded never."""
    places = Places(where)
    command = Path(where.prefix) / "bin/spale-send"
    before = record.Record({str(command): "-> ../lib/spale/bin/spale-send"}, [])
    command.symlink_to("../lib/spale/bin/spale-send")
    assert str(command) in record.planned(places, before).files
    with pytest.raises(SystemExit, match="not ours"):
        record.planned(places, None)
    command.unlink()
    command.write_text("pip's own")
    with pytest.raises(SystemExit, match="not ours"):
        record.planned(places, before)


@pytest.mark.parametrize(
    "path", ["usr/local", "", "/usr/l'ocal", "/usr/local\n", '/usr/"', "/usr/$HOME", "/usr/%h"]
)
def test_paths_that_no_unit_or_shell_can_hold(where, path):
    """Are refused, as is one that is not absolute."""
    with pytest.raises(SystemExit, match="must be absolute paths"):
        Places(Namespace(**{**vars(where), "prefix": path}))


def test_a_first_line_that_the_kernel_can_read():
    """A path with a space, or a long one, is not in it."""
    assert launcher(Path("/usr/lib/spale/bin/python"), "m").startswith("#!/usr/lib/spale/bin/python -I\n")
    for path in ("/my own/python", f"/{'long/' * 30}python"):
        assert launcher(Path(path), "m").startswith(f"#!/bin/sh\n'''exec' \"{path}\" -I ")


@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_make_hands_the_paths_over(what):
    """As they are, with their spaces."""
    given = {"DESTDIR": "/a root", "PREFIX": "/my own", "SYSCONFDIR": "/my etc", "UNITDIR": "/my units"}
    words = [f"{name}={value}" for name, value in given.items()]
    shown = said("make", "--dry-run", "--no-print-directory", "-C", ROOT, what, *words)
    (line,) = [line for line in shown.replace("\\\n", "").splitlines() if "tools/install.py" in line]
    told = shlex.split(line)
    for name, value in given.items():
        assert told[told.index(f"--{name.lower()}") + 1] == value
