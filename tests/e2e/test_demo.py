# SPDX-License-Identifier: MIT
"""`spale demo` as its reader sees it: a short true story that leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from spale_core.demo.processes import python, until

DEMO = "spale_core.cli.main"
TIME_S = 15


def _interfaces():
    return subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout  # noqa: S607 - iproute2


def _namespaces():
    named = Path("/run/netns")
    return sorted(path.name for path in named.iterdir()) if named.exists() else []


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


@pytest.fixture
def room(tmp_path):
    """Return a folder for the demo's files; see that the demo leaves nothing, there or elsewhere."""
    before = _interfaces(), _namespaces()
    yield tmp_path
    assert until(lambda: not _processes_with(tmp_path), 3), _processes_with(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (_interfaces(), _namespaces()) == before


def _start(room, *options):
    return subprocess.Popen(
        python(DEMO, "demo", *options),
        env={**os.environ, "TMPDIR": str(room)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _lines(output):
    """Return the scenes: what was done, and what was seen."""
    scenes = re.findall(r"^ *[\d.]+ s  (.+?)(?:   *(\S.*))?$", output, re.MULTILINE)
    return [(done.strip(), seen.strip()) for done, seen in scenes]


@pytest.mark.parametrize("dataplane", ["tc", "xdp"])
def test_the_story(room, dataplane):
    """Open, guarded, silent, knocked, open, run out, silent, opened: over IPv4 and IPv6, in 15 s."""
    began = time.monotonic()
    with _start(room, "--dataplane", dataplane) as demo:
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("scene", ["a server", "spale run", "192.0.2.2 knocks"])
def test_ended_in_the_middle(room, number, scene):
    """A signal in any scene leaves no process, namespace, link or file; SIGKILL leaves the files alone."""
    with _start(room) as demo:
        for line in demo.stdout:
            if scene in line:
                break
        demo.send_signal(number)
        demo.stdout.read()
        code = demo.wait(5)
    assert code in {128 + number, -number}
    if number == signal.SIGKILL:
        assert until(lambda: not _processes_with(room), 3)
        subprocess.run(["rm", "-r", *room.iterdir()], check=True)  # noqa: S607 - coreutils


def test_a_failure_is_cleaned_up(room):
    """A dataplane that is not there ends the demo with the daemon's own words and exit code."""
    with _start(room, "--dataplane", "nonesuch") as demo:
        _, errors = demo.communicate(timeout=TIME_S)
    assert demo.returncode == os.EX_CONFIG
    assert "nonesuch" in errors


def test_without_root():
    """Who is not root is told so, with exit code 77 and nothing done."""
    nobody = 65534
    done = subprocess.run(
        python(DEMO, "demo"),
        user=nobody,
        group=nobody,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=TIME_S,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if "Permission denied" in done.stderr and not done.stderr.startswith("spale:"):
        pytest.skip("nobody may not run this Python")
    assert done.returncode == os.EX_NOPERM
    assert "root" in done.stderr


def test_kept(room):
    """With --keep the stage stays, under names, and the words that are printed for it remove it."""
    with _start(room, "--keep") as demo:
        output, _ = demo.communicate(timeout=2 * TIME_S)
    assert demo.returncode == 0
    remove = re.search(r"^Remove with: (.+)$", output, re.MULTILINE)
    assert len([name for name in _namespaces() if str(demo.pid) in name]) == 2
    subprocess.run(["sh", "-c", remove[1]], check=True, timeout=TIME_S)  # noqa: S607 - any shell
