# SPDX-License-Identifier: MIT
"""OpenSSH through a profile of spale-send: on the first try, every time, with all that goes through it.

SPALE_SSH_RUNS says how often, SPALE_SSH_MB how much is copied (`nox -s ssh`: 20 and 100).
"""

from __future__ import annotations

import filecmp
import os
import re
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
from berth import NAME, SSH, Berth, find
from demanded import lacking
from rigging import Rig

from spale_core.cli import send
from spale_core.demo.processes import Background
from spale_core.model import Protocol, Service

RUNS = int(os.environ.get("SPALE_SSH_RUNS", "2"))
MEGABYTES = int(os.environ.get("SPALE_SSH_MB", "8"))
LONG_S = 60 + MEGABYTES
WEB = Service(Protocol.TCP, 8080)
PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
PROGRAMS = ("spale-send", "ssh", "scp", "git", "rsync")
WEB_PAGE = b"the page of an administrator\n"


@pytest.fixture(scope="module")
def berth(tc_hall, tmp_path_factory):
    """Return an sshd behind a guarded door, shared by the tests here."""
    missing = [name for name in ("sshd", "ssh", "scp", "ssh-keygen", "unshare") if find(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    berth = Berth(tc_hall, tmp_path_factory.mktemp("berth"))
    try:
        # With a past, so that knocks that are bound to no address are welcome at once.
        Rig.remember(tc_hall.config["STATE_DIR"])
        tc_hall.guard(PROTECTED_PORTS=f"{SSH},{WEB}", USHER_PORTS=SSH, SPA_RL_RATE=3, SPA_RL_BURST=3)
        yield berth
    finally:
        berth.close()


def test_ssh_on_the_first_try(berth, family):
    """Each of many users, from an address that has never knocked, is logged in by one `ssh`."""
    for run in range(RUNS):
        guest = berth.house.guest(family)
        name = f"first{family}-{run}"
        assert berth.house.all_shut([guest], [SSH])
        config = berth.client(guest, name)
        assert berth.run("ssh", "-F", config, name, "echo", "in") == b"in\n"


def test_scp_arrives_whole(berth, family, tmp_path):
    """A large file of random bytes is the same at the other end, there and back."""
    guest = berth.house.guest(family)
    config = berth.client(guest, f"scp{family}")
    there, back = berth.folder / f"there{family}", tmp_path / "back"
    original = tmp_path / "original"
    original.write_bytes(os.urandom(MEGABYTES << 20))
    berth.run("scp", "-q", "-F", config, original, f"scp{family}:{there}", timeout_s=LONG_S)
    assert filecmp.cmp(original, there, shallow=False)
    berth.run("scp", "-q", "-F", config, f"scp{family}:{there}", back, timeout_s=LONG_S)
    assert filecmp.cmp(original, back, shallow=False)


def test_git_over_ssh(berth, tmp_path):
    """`git clone` and `git push` go the same way."""
    if find("git") is None:
        lacking("git is not installed")
    config = berth.client(berth.house.guest(4), "git")
    names = {f"GIT_{who}_{what}": "somebody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    git = {"GIT_SSH_COMMAND": f"ssh -F {config}", "GIT_CONFIG_NOSYSTEM": "1", **names}
    there, clone = berth.folder / "repository.git", tmp_path / "clone"
    berth.run("git", "init", "--quiet", "--bare", "--initial-branch=main", there, **git)
    berth.run("git", "clone", "--quiet", f"git:{there}", clone, **git)
    berth.run("git", "-C", clone, "commit", "--quiet", "--allow-empty", "--message=first", **git)
    berth.run("git", "-C", clone, "push", "--quiet", "origin", "HEAD:main", **git)
    assert berth.run("git", "-C", there, "log", "--format=%s", "main", **git) == b"first\n"


def test_rsync_over_ssh(berth, tmp_path):
    """`rsync` too, there and back."""
    if find("rsync") is None:
        lacking("rsync is not installed")
    config = berth.client(berth.house.guest(4), "rsync")
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "file").write_bytes(os.urandom(1 << 16))
    for source, target in (
        (f"{tmp_path}/from/", f"rsync:{berth.folder}/synced/"),
        (f"rsync:{berth.folder}/synced/", f"{tmp_path}/to/"),
    ):
        berth.run("rsync", "-a", "-e", f"ssh -F {config}", source, target)
    assert filecmp.cmp(tmp_path / "from" / "file", tmp_path / "to" / "file", shallow=False)


def examples():
    """Return the commands of docs/clients.md, and its blocks of configuration by their first lines."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE.read_text(), re.MULTILINE)
    texts = [textwrap.dedent(block).strip() for block in blocks]
    commands = [line for text in texts for line in text.splitlines() if line.split(" ")[0] in PROGRAMS]
    return commands, {text.splitlines()[0]: text for text in texts}


def arrange(berth, cwd, config):
    """Let there be what the page takes for granted."""
    shutil.copy(berth.house.keyring.bundle("anna"), cwd / "laptop.key")
    (cwd / "laptop.txt").write_text("from the laptop")
    (cwd / "notes").mkdir()
    (cwd / "notes" / "note").write_text("a note")
    (berth.home / ".ssh").mkdir(mode=0o700)
    (berth.home / ".ssh" / "config").write_text(f"{config}\n\n{berth.settings()}")
    berth.run("git", "init", "--quiet", "--bare", berth.home / "project.git")


def test_the_page_is_right(berth, tmp_path):
    """Every command of docs/clients.md, typed as it stands by somebody with a key, does what it says."""
    commands, blocks = examples()
    assert len(commands) == 8
    berth.house.guests()
    web = berth.house.folder / "web"
    web.mkdir()
    (web / "index.html").write_bytes(WEB_PAGE)
    serve = [sys.executable, "-m", "http.server", str(WEB.port), "--bind", "::", "--directory", str(web)]
    server = Background(berth.house.stage.server, serve, berth.house.folder / "web.log")
    try:
        arrange(berth, tmp_path, blocks["Host gate"])
        said = {
            line: berth.run(*shlex.split(line), cwd=tmp_path)
            for line in (f"{each} true" if each == "ssh gate" else each for each in commands)
            if all(find(word) for word in {"git", "rsync", "curl"} & set(line.split()))
        }
    finally:
        server.stop(9)
    assert said["spale-send -p gate --dry-run"].count(b"128 bytes to") == len(berth.house.stage.families)
    assert (berth.home / "laptop.txt").read_text() == "from the laptop"
    assert (tmp_path / "project").is_dir()
    assert not find("rsync") or (berth.home / "notes" / "note").read_text() == "a note"
    assert not find("curl") or WEB_PAGE in said.values()
    assert NAME in berth.run("spale-send", "profile", "show", "gate").decode()


def test_the_page_names_no_option_that_is_not_there():
    """What it quotes within its sentences is understood."""
    known = "".join(parser.format_help() for parser in send.parsers())
    quoted = set(re.findall(r"`[^`]*?(--[a-z][a-z-]+)", PAGE.read_text()))
    assert {option for option in quoted if option not in known} == set()
