# SPDX-License-Identifier: MIT
"""What `nox -s onefile` has made: small, quick, and running where there is nothing but the C library."""

from __future__ import annotations

import fcntl
import filecmp
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cell import EVE_UID, ROOT, Cell, one_file

from spale_core.demo.poll import until

pytestmark = pytest.mark.kernel

MOST_BYTES = 25_000_000
START_S = 0.6
KNOCK_BYTES = 128
DEMO_S = 90
LATE_S = 15.0
SPALE = "/usr/sbin/spale"
SEND = {"by its link": ("/usr/bin/spale-send",), "as a sub-command": (SPALE, "send")}
KEYGEN = {"by its link": ("/usr/bin/spale-keygen",), "as a sub-command": (SPALE, "keygen")}


@pytest.fixture
def cell(tmp_path):
    """Return a root with nothing but the one file."""
    return Cell(tmp_path)


@pytest.fixture
def port():
    """Return a UDP socket of this machine, to be knocked at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def key(cell):
    """Return the key file of a client in the cell."""
    cell.does(SPALE, "keygen", "server", "--out", "/keys/server")
    options = ("--name", "anna", "--bundle", "--server-pub", "/keys/server/server.key.pub")
    cell.does(SPALE, "keygen", "client", *options, "--out", "/keys/keys")
    return "/keys/keys/anna.key"


def knock_at(sock, key):
    """Return the options by which spale-send knocks at `sock`."""
    return ("--host", "127.0.0.1", "--port", str(sock.getsockname()[1]), "--key", str(key))


def test_it_is_small():
    """It can be copied to a machine by hand."""
    assert one_file().stat().st_size < MOST_BYTES


def test_it_starts_quickly(cell, capsys):
    """`spale --version` takes less than 0.6 s: of the processor, which nobody else's work changes much."""
    cost_s, took_s = [], []
    for _ in range(5):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        assert cell.does(SPALE, "--version").startswith("spale ")
        took_s.append(time.monotonic() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cost_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    cost, took = statistics.median(cost_s), statistics.median(took_s)
    with capsys.disabled():
        sys.stdout.write(f"\nspale --version: {took:.2f} s, of the processor {cost:.2f} s (medians of 5)\n")
    assert cost < START_S


@pytest.mark.timeout(600)
def test_built_twice_it_is_the_same(tmp_path):
    """Whoever has this tree and this machine gets these bytes."""
    build = [ROOT / ".nox/onefile/bin/python", ROOT / "tools/onefile/build.py", tmp_path]
    subprocess.run(build, capture_output=True, timeout=600, check=True)
    assert filecmp.cmp(one_file(), tmp_path / "spale", shallow=False)


@pytest.mark.parametrize("dataplane", ["tc", "xdp"])
def test_the_demo_runs(cell, dataplane):
    """The whole story, with both enforcers; it starts no program that is not inside, and leaves nothing."""
    told = cell.does(SPALE, "demo", "--dataplane", dataplane, timeout_s=DEMO_S)
    assert f"ready ({dataplane}" in told
    assert "knocks: one UDP datagram" in told
    assert "Ctrl-C ends the daemon" in told
    assert cell.left_over == []


def test_what_the_demo_keeps_goes_on(cell):
    """With --keep, a daemon and a service outlive the folder that the demo ran from."""
    try:
        assert "\nKept: " in cell.does(SPALE, "demo", "--keep", timeout_s=DEMO_S)
        # Each is unpacked by a process of its own; the daemon has a listener, too.
        assert len(cell.processes) == 5
    finally:
        for pid in cell.processes:
            os.kill(pid, signal.SIGKILL)
    assert until(lambda: not cell.processes, LATE_S)


@pytest.mark.parametrize("way", SEND)
def test_it_is_all_three_commands(cell, port, way):
    """Keys are made and a knock is sent, whichever way the commands are called."""
    cell.does(*KEYGEN[way], "server", "--out", "/keys/server")
    options = ("--name", "anna", "--bundle", "--server-pub", "/keys/server/server.key.pub")
    cell.does(*KEYGEN[way], "client", *options, "--out", "/keys/keys")
    cell.does(*SEND[way], *knock_at(port, "/keys/keys/anna.key"))
    assert len(port.recv(2048)) == KNOCK_BYTES
    assert re.match(r"spale-send \d", cell.does(*SEND[way], "--version"))
    assert cell.left_over == []


def test_help_names_what_only_this_file_has(cell):
    """Who has only this file finds the other two commands."""
    assert re.search(
        r"^  send +.*spale-send.*\n  keygen +.*spale-keygen", cell.does(SPALE, "--help"), re.MULTILINE
    )


def test_our_plugins_are_inside_and_no_others_can_be(cell):
    """All of ours are found by their entry points; for one of others there is a word."""
    listed = json.loads(cell.does(SPALE, "plugins", "--json"))
    assert {each["name"] for each in listed} == {"hpke", "hpke-v1", "memory", "sqlite", "tc", "xdp"}
    assert all(each["offers"] and not each["problem"] for each in listed)
    done = cell.run(SPALE, "run", "--store", "postgres", "-i", "lo", "-S", "1", "--protect", "22")
    assert done.returncode == 78


def test_it_is_no_python(cell):
    """What is inside of the standard library cannot be run by itself."""
    for words in ((), ("code",), ("spale_core_of_others",)):
        assert cell.run(SPALE, "--as-module", *words).returncode == 64


def test_a_mistake_is_named(cell):
    """`spale check` says which line is wrong, and ends with 78."""
    (cell.root / "etc/spale/spale.conf").write_text("IFACE=lo\nIDEL_SEC=5\n")
    done = cell.run(SPALE, "check")
    assert done.returncode == 78
    assert "/etc/spale/spale.conf:2: IDEL_SEC" in done.stderr
    assert cell.left_over == []


def test_the_doctor_finds_all_that_is_needed(cell):
    """The libraries that it asks for are inside, and the kernel takes the programs."""
    said = json.loads(cell.does(SPALE, "doctor", "--json"))
    found = {each["subject"]: each for each in said["findings"]}
    assert "spale's own" in found["libbpf"]["words"]
    assert (found["seccomp"]["state"], found["program"]["state"]) == ("ok", "ok")


@pytest.mark.parametrize("libraries", [None, "/nowhere:/none"])
def test_a_command_gets_the_environment_that_we_got(cell, key, port, libraries):
    """Neither our libraries nor the bootloader's words are passed on; the command's exit code is ours."""
    given = {"HOME": "/", "PATH": os.environ["PATH"]} | ({"LD_LIBRARY_PATH": libraries} if libraries else {})
    words = [
        one_file(),
        "send",
        *knock_at(port, cell.root / key.lstrip("/")),
        "--",
        "sh",
        "-c",
        "env; exit 7",
    ]
    done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7
    got = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {
        name: value for name, value in got.items() if name not in {"PWD", "_", "SHLVL", "OLDPWD"}
    } == given


def test_ctrl_c_ends_it_once(cell, key, port):
    """A terminal tells both processes; that is one Ctrl-C, and no stack is printed."""
    knocking = (*knock_at(port, key), "--wait", "1", "--wait-sec", "60")
    process = subprocess.Popen(
        cell.command("/usr/bin/spale-send", *knocking),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert len(port.recv(2048)) == KNOCK_BYTES
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert cell.left_over == []


def started(pid):
    """Return the process that the bootloader `pid` has started from what it unpacked; none yet is 0."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            if b"_PYI_" in Path(f"/proc/{child}/environ").read_bytes():
                return int(child)
    return 0


def test_killed_while_it_starts_it_is_gone(key, cell, port, tmp_path):
    """Who kills the process that was started, before Python runs in its child, has killed the command."""
    knocking = (*knock_at(port, cell.root / key.lstrip("/")), "--wait", "1", "--wait-sec", "600")
    places = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([one_file(), "send", *knocking], env=places, stderr=subprocess.DEVNULL)
    try:
        assert (child := until(lambda: started(process.pid), LATE_S))
    finally:
        process.kill()
        process.wait()
    assert until(lambda: not Path(f"/proc/{child}").exists(), LATE_S)


def test_what_is_unpacked_is_private_and_does_not_age(cell, key, port):
    """Nobody else may enter the folder, and systemd-tmpfiles, which locks what it removes, cannot."""
    knocking = (*knock_at(port, key), "--wait", "1", "--wait-sec", "60")
    process = subprocess.Popen(cell.command("/usr/bin/spale-send", *knocking), stderr=subprocess.DEVNULL)
    try:
        assert len(port.recv(2048)) == KNOCK_BYTES
        (name,) = cell.left_over
        folder = cell.root / "tmp" / name
        assert folder.stat().st_mode & 0o777 == 0o700
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    finally:
        process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    assert cell.left_over == []


def test_a_folder_without_programs_is_named(cell):
    """Where its folder is mounted noexec, it says so and ends; TMPDIR names another one."""
    done = cell.run(SPALE, "--version", NOEXEC="yes")
    assert done.returncode != 0
    assert re.search(r"/_MEI\w+/libpython\S+: failed to map segment", done.stderr)
    assert cell.run(SPALE, "--version", NOEXEC="yes", TMPDIR="/root").returncode == 0


def test_root_runs_nothing_from_a_folder_of_others(cell):
    """A TMPDIR that somebody else may change is refused."""
    home = cell.root / "home/eve"
    home.mkdir(parents=True)
    os.chown(home, EVE_UID, EVE_UID)
    done = cell.run(SPALE, "--version", TMPDIR="/home/eve")
    assert done.returncode == 77
    assert "TMPDIR" in done.stderr
    assert list(home.iterdir()) == []


def test_the_environment_names_no_other_folder_to_run_from(cell):
    """Only a process that was started by the one that unpacked a folder runs from it."""
    folder = cell.root / "home/_MEI00000001abcdef"
    folder.mkdir(parents=True, mode=0o700)
    named = {"_PYI_APPLICATION_HOME_DIR": "/home/_MEI00000001abcdef", "_PYI_PARENT_PROCESS_LEVEL": "0"}
    done = cell.run(SPALE, "--version", _PYI_ARCHIVE_FILE=SPALE, **named)
    assert done.returncode != 0
    assert "Security validation failure" in done.stderr
