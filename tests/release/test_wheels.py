# SPDX-License-Identifier: MIT
"""The wheels that `nox -s build` has made, installed from files alone and run where nothing else is.

Another session may try the same wheels elsewhere, by the environment: SPALE_PYTHON is the Python to install
for, SPALE_THIRD_PARTY a folder with the wheels of others that they need.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bare import Bare, compilers, run, shared
from wheelhouse import DIST, from_session, wheels

from spale_core.demo.poll import until

pytestmark = pytest.mark.timeout(600)  # the commands have limits of their own

PYTHON = os.environ.get("SPALE_PYTHON", sys.executable)
HIDDEN = ("libbpf", "libelf", "libzstd")
"""What the wheel may bring. Not libz: Python itself does not start without one."""

KNOCK_BYTES = 128
"""Of a datagram of version 2 (docs/wire-format.md)."""

DEMO_S = 60


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Return this machine without compiler and libbpf."""
    return Bare(tmp_path_factory.mktemp("bare") / "work", compilers() | shared(*HIDDEN))


def environment(bare, folder, *requirements):
    """Make a virtual environment with `requirements`, from files alone, where there is no compiler."""
    assert wheels()
    third_party = from_session("SPALE_THIRD_PARTY")
    run(PYTHON, "-m", "venv", folder)
    offline = ("--no-index", "--find-links", DIST, "--find-links", third_party)
    pip = (folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "install")
    # Not what this machine's pip is told: nothing but these two folders.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    alone["PIP_CONFIG_FILE"] = os.devnull
    bare.run(*pip, "--only-binary", ":all:", *offline, *requirements, env=alone)
    return folder


@pytest.fixture(scope="module")
def server(bare, tmp_path_factory):
    """Return a virtual environment with all that a server may have."""
    folder = tmp_path_factory.mktemp("server") / "venv"
    return environment(bare, folder, "spale-core[demo]", "spale-tc", "spale-xdp")


@pytest.fixture(scope="module")
def client(bare, tmp_path_factory):
    """Return a virtual environment with spale-core and what pip takes with it."""
    return environment(bare, tmp_path_factory.mktemp("client") / "venv", "spale-core")


def mapped(pid):
    """Return the files of libbpf, and of what it needs, that a process has in its memory."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:  # it has ended meanwhile
        return set()
    names = {line.split(maxsplit=5)[-1] for line in lines if "/" in line}
    return {name for name in names if re.match(r"lib(bpf|elf|zstd)[-.]|libz-", Path(name).name)}


def processes(word):
    """Return the numbers of the processes whose command has `word` in it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except OSError:  # it has ended meanwhile
            continue


@pytest.mark.kernel
@pytest.mark.parametrize("dataplane", ["tc", "xdp"])
def test_the_demo_runs_where_nothing_else_is(server, bare, dataplane):
    """With neither compiler nor libbpf on the machine; the daemon's is the wheel's own, and all of it."""
    copies = {str(path.resolve()) for path in server.glob("lib/python*/site-packages/spale_bpf/libs/*.so.*")}
    seen = set()

    def all_seen():
        for pid in processes(str(server)):
            seen.update(mapped(pid))
        return seen >= copies or demo.poll() is not None

    command = bare.command(server / "bin/spale", "demo", "--dataplane", dataplane)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            assert until(all_seen, DEMO_S), seen
            told, errors = demo.communicate(timeout=DEMO_S)
        finally:
            demo.terminate()  # if it is still there, it cleans up
    assert demo.returncode == 0, told + errors
    assert "no answer; granted for 2 s" in told
    assert len(copies) >= len({"libbpf", "libelf", "libz"})
    assert seen == copies


WHICH = """
from spale_bpf import libbpf
print(libbpf.library_version())
print(open("/proc/self/maps").read())
"""


def test_copies_come_before_the_systems_and_can_be_removed(server):
    """Where the system has a libbpf, the copies are used, all of them; without their folder, the system's."""
    python = server / "bin/python"
    (copies,) = server.glob("lib/python*/site-packages/spale_bpf/libs")
    version, maps = run(python, "-c", WHICH).stdout.split("\n", 1)
    assert version.endswith("spale's own")
    assert all(str(path) in maps for path in copies.glob("*.so.*"))
    away = copies.with_name("away")
    copies.rename(away)
    try:
        version, maps = run(python, "-c", WHICH).stdout.split("\n", 1)
    finally:
        away.rename(copies)
    assert not version.endswith("own")
    assert str(copies.parent) not in maps
    assert "/libbpf.so" in maps


def test_copies_that_cannot_be_loaded_are_named(server):
    """Nothing else is taken in silence: the words say which file, and why."""
    (library,) = server.glob("lib/python*/site-packages/spale_bpf/libs/libbpf-*.so.*")
    away = library.with_name("away")
    library.rename(away)
    try:
        library.write_bytes(b"no library")
        failed = run(server / "bin/python", "-c", WHICH, check=False)
    finally:
        away.replace(library)
    assert "DataplaneError: spale's own libbpf cannot be loaded" in failed.stderr
    assert str(library) in failed.stderr


def test_the_core_alone_makes_keys_and_knocks(client, tmp_path):
    """spale-keygen and spale-send need nothing but what `pip install spale-core` brings."""
    listed = run(client / "bin/python", "-m", "pip", "list").stdout.split()
    assert "spale-crypto-hpke" in listed
    assert not {"spale-bpf", "spale-tc", "spale-xdp", "pyroute2"} & set(listed)
    keygen = client / "bin/spale-keygen"
    run(keygen, "server", "--out", tmp_path)
    server_key = ("--server-pub", tmp_path / "server.key.pub")
    run(keygen, "client", "--name", "laptop", "--bundle", *server_key, "--out", tmp_path)
    assert "bundle, all that a client needs" in run(keygen, "show", tmp_path / "laptop.key").stdout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        where = ("--host", "127.0.0.1", "--port", listener.getsockname()[1])
        run(client / "bin/spale-send", *where, "--key", tmp_path / "laptop.key")
        assert len(listener.recv(2048)) == KNOCK_BYTES


def test_the_core_alone_says_what_a_server_lacks(client, tmp_path):
    """In words, and with an exit code of ours."""
    run(client / "bin/spale-keygen", "server", "--out", tmp_path)
    (tmp_path / "clients").mkdir()
    config = tmp_path / "spale.conf"
    lines = {
        "IFACE": "lo",
        "LISTEN_PORT": "55555",
        "PROTECTED_PORTS": "22/tcp",
        "SERVER_KEY": tmp_path / "server.key",
        "CLIENTS_DIR": tmp_path / "clients",
    }
    config.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    refused = run(client / "bin/spale", "run", "--config", config, check=False)
    assert refused.returncode == 78, refused.stderr
    assert "DATAPLANE" in refused.stderr
    assert "no plugin 'tc' is installed" in refused.stderr
    assert "Traceback" not in refused.stderr
    examined = run(client / "bin/spale", "doctor", "--config", config, check=False)
    assert "pip install spale-tc" in examined.stdout
