# SPDX-License-Identifier: MIT
"""`spale demo` as its reader sees it: a short true story that leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spale_core.demo.poll import until
from spale_core.demo.processes import python
from spale_core.demo.stage import Namespace

DEMO = "spale_core.cli.main"
TIME_S = 15
# Root as in a container: the bounding set, which loses CAP_SYS_ADMIN (21) here, counts at the next execve.
NO_SYS_ADMIN = """if 'AGAIN' not in os.environ:
    ctypes.CDLL(None).prctl(24, 21, 0, 0, 0)
    os.execve(sys.executable, sys.orig_argv, {**os.environ, 'AGAIN': '1'})
"""


def _processes_with(folder):
    """Return the command lines of all processes that mention `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if str(folder).encode() in command:
                found.append(command)
    return found


class Room:
    """Where a demo runs: a folder for its files, and a host with interfaces that nobody else touches."""

    def __init__(self, folder):
        """Make the host."""
        self.folder = folder
        self.host = Namespace()

    def start(self, *options):
        """Start a demo."""
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with self.host.inside():
            return subprocess.Popen(python(DEMO, "demo", *options), env=environment, **pipes)

    def interfaces(self):
        """Return what the host has."""
        with self.host.inside():
            return [name for _, name in socket.if_nameindex()]


def _named(pid):
    """Return the names of the namespaces that the demo with this `pid` has left."""
    folder = Path("/run/netns")
    return [path.name for path in folder.iterdir() if f"-{pid}-" in path.name] if folder.exists() else []


@pytest.fixture
def room(tmp_path):
    """Return a room; see that the demo leaves nothing in it."""
    room = Room(tmp_path)
    before = room.interfaces()
    yield room
    assert until(lambda: not _processes_with(tmp_path), TIME_S), _processes_with(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert room.interfaces() == before
    room.host.close()


def _lines(output):
    """Return the scenes: what was done, and what was seen."""
    scenes = re.findall(r"^ *[\d.]+ s  (.+?)(?:   *(\S.*))?$", output, re.MULTILINE)
    return [(done.strip(), seen.strip()) for done, seen in scenes]


@pytest.mark.alone  # it promises how long it takes
@pytest.mark.parametrize("dataplane", ["tc", "xdp"])
def test_the_story(room, dataplane):
    """Open, guarded, silent, knocked, open, run out, silent, opened: over IPv4 and IPv6, in 15 s.

    That of TC, which `make demo` shows, is the one in README.md, but for the seconds.
    """
    began = time.monotonic()
    with room.start("--dataplane", dataplane) as demo:
        output, errors = demo.communicate(timeout=2 * TIME_S)
    assert (demo.returncode, errors) == (0, ""), output
    assert time.monotonic() - began < TIME_S
    seen = [(done.split()[0], word) for done, words in _lines(output) if (word := words.split(":")[0])]
    four, six, stranger, late = "192.0.2.2", "2001:db8::2", "192.0.2.3", "192.0.2.4"
    granted = "no answer; granted for 2 s"
    ready = next(word for name, word in seen if name == "spale")
    assert ready.startswith("ready")
    assert [scene for scene in seen if scene[0] != "spale"] == [
        (four, "open"),
        (four, "no answer"),
        (four, granted),
        (four, "open"),
        (six, "no answer"),
        (six, granted),
        (six, "open"),
        (stranger, "no answer"),
        (four, "no answer"),
        (six, "no answer"),
        (late, "open"),
    ]
    assert dataplane != "tc" or _missing_in_readme(output) == []


def _missing_in_readme(output):
    """Return the lines that README.md does not have; it may say more."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    told = [re.sub(r"^ +[\d.]+ s ", "", line).strip() for line in output.splitlines() if line]
    written = [re.sub(r"^ +[\d.]+ s ", "", line).strip() for line in readme.splitlines()]
    return [line for line in told if line not in written]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("scene", ["something listens", "spale run", "192.0.2.2 knocks"])
def test_ended_in_the_middle(room, number, scene):
    """A signal in any scene leaves no process, namespace, link or file; SIGKILL leaves the files alone."""
    with room.start() as demo:
        for line in demo.stdout:
            if scene in line:
                break
        demo.send_signal(number)
        demo.stdout.read()
        code = demo.wait(TIME_S)
    assert code in {128 + number, -number}
    if number == signal.SIGKILL:
        assert until(lambda: not _processes_with(room.folder), TIME_S)
        subprocess.run(["rm", "-r", *room.folder.iterdir()], check=True)  # noqa: S607 - coreutils


def test_a_failure_is_cleaned_up(room):
    """A dataplane that is not there ends the demo with the daemon's own words and exit code."""
    with room.start("--dataplane", "nonesuch") as demo:
        _, errors = demo.communicate(timeout=2 * TIME_S)
    assert demo.returncode == os.EX_CONFIG
    assert "nonesuch" in errors


def _run_demo_after(setup):
    """Run the demo in a process that has executed `setup` first, with all that it imports imported before."""
    script = f"""
import argparse, ctypes, os, sys
from spale_core.cli import command, demo
{setup}
options = argparse.Namespace(dataplane='tc', keep=False)
sys.exit(command.guarded('spale', lambda _: demo.run(options), []))
"""
    arguments = [sys.executable, "-P", "-c", script]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=2 * TIME_S, check=False)


@pytest.mark.parametrize(
    ("setup", "code", "word"),
    [
        ("os.setuid(65534)", os.EX_NOPERM, "root"),
        ("sys.modules['pyroute2'] = None", os.EX_UNAVAILABLE, "spale-core[demo]"),
        ("sys.platform = 'darwin'", os.EX_UNAVAILABLE, "Linux"),
        (NO_SYS_ADMIN, os.EX_NOPERM, "CAP_SYS_ADMIN"),
    ],
    ids=["no root", "no pyroute2", "no Linux", "no namespaces"],
)
def test_what_is_missing_is_said(room, setup, code, word):  # noqa: ARG001 - nothing may be left there
    """Where the demo cannot run it says in one sentence what is missing, with the exit code for that."""
    done = _run_demo_after(setup)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("spale: ")
    assert done.stderr.count("\n") == 1
    assert word in done.stderr


def test_kept(room):
    """With --keep the stage stays, under names, and the words that are printed for it remove it."""
    with room.start("--keep") as demo:
        output, _ = demo.communicate(timeout=2 * TIME_S)
    assert demo.returncode == 0
    remove = re.search(r"^Remove with: (.+)$", output, re.MULTILINE)
    assert len(_named(demo.pid)) == 2
    subprocess.run(["sh", "-c", remove[1]], check=True, timeout=TIME_S)  # noqa: S607 - any shell
    assert _named(demo.pid) == []
