# SPDX-License-Identifier: MIT
"""`make install` where something is there already, `make uninstall`, and paths that are unusual."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import install
import pytest
from installing import environment, record
from installing.environment import launcher
from installing.places import Places

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def where(tmp_path):
    """Return folders with spaces in their names, and some that others have made there."""
    home = tmp_path / "my own"
    for folder in ("bin", "share/man", "lib/systemd", "lib/spale.old", "lib/spale.new"):
        (home / folder).mkdir(parents=True)
    for name in ("bin/other", "lib/spale.old/kept", "lib/spale.new/kept"):
        (home / name).write_text("other")
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


@pytest.mark.parametrize("name", [".spale.old", ".spale.new"])
def test_what_others_keep_beside_it_stays(where, name):
    """Even under a name that we would use."""
    mine = Path(where.prefix) / "lib" / name / "data"
    mine.parent.mkdir()
    mine.write_text("mine")
    before = everything(where)
    assert make("uninstall", where).returncode == 0
    assert everything(where) == before
    done = make("install", where)
    assert done.returncode == 1
    assert f"{mine.parent} is there and is not ours" in done.stderr
    assert everything(where) == before


@pytest.mark.parametrize("name", [".spale.new", ".spale.old"])
def test_an_installation_that_was_ended_early(where, name):
    """At whatever moment: the next removal takes away what it has left, and what was installed before."""
    before = everything(where)
    link, folder = Path(where.prefix) / "bin/spale-send", Path(where.prefix) / "lib" / name
    folder.mkdir()
    assert make("uninstall", where).returncode == 0, "ended before anything was in it"
    assert everything(where) == before
    folder.mkdir()
    (folder / "pyvenv.cfg").touch()
    if name == ".spale.old":
        link.symlink_to("../lib/spale/bin/spale-send")
        record.Record({str(link): record.fingerprint(link)}, []).write(folder)
    else:
        record.Record({}, []).write(folder)
    assert make("uninstall", where).returncode == 0
    assert everything(where) == before


def test_what_a_killed_installation_leaves_is_known_as_ours(where, monkeypatch):
    """The record is there before all else is; the one before is in place, or comes back."""
    places = Places(where)
    home = places.home
    home.mkdir()
    record.Record({}, []).write(home)

    def killed(folder, *_):
        assert record.read(folder) is not None
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "make_environment", killed)
    with pytest.raises(KeyboardInterrupt):
        install.install(places, None)
    assert record.read(home) is not None
    home.rename(home.with_name(".spale.old"))
    with pytest.raises(KeyboardInterrupt):
        install.install(places, None)
    assert record.read(home) is not None
    install.uninstall(places)
    assert {path.name for path in home.parent.iterdir()} == {"systemd", "spale.old", "spale.new"}


def test_a_removal_that_was_ended_early(where, monkeypatch):
    """The record goes last, so that the next one knows whose the rest is."""
    home = Places(where).home
    (home / "lib").mkdir(parents=True)
    record.Record({}, []).write(home)

    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            install.uninstall(Places(where))
    assert (home / record.NAME).exists()
    install.uninstall(Places(where))
    assert not home.exists()


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
