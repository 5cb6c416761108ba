# SPDX-License-Identifier: MIT
"""Houses (see house.py) for the tests here, and who their guests are.

Houses are shared between tests, for starting a daemon takes a while; what keeps the tests apart is that every
guest comes from an address of its own.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import boxes
import pytest
from house import ALL, SPA_PORT, START_S, House, Keyring
from lines import DESK, NOBODY
from rigging import Rig

from spale_core.demo.poll import until
from spale_core.demo.processes import run_tool
from spale_core.demo.stage import DOOR, Stage

CLIENTS = {
    "anna": {},
    "usher": {"PORTS": "22/tcp"},
    "brief": {"IDLE_SEC": 2, "GRACE_SEC": 0},
    "patient": {"IDLE_SEC": 1, "GRACE_SEC": 4},
    "mayfly": {"MAX_SEC": 3},
    "tardy": {},
}
ENFORCERS = {
    "tc": {"DATAPLANE": "tc"},
    "xdp-native": {"DATAPLANE": "xdp", "XDP_MODE": "native"},
    "xdp-generic": {"DATAPLANE": "xdp", "XDP_MODE": "generic"},
}


@pytest.fixture(scope="session")
def keyring(tmp_path_factory):
    """Return keys for everybody, made once: of several workers the first one makes them for all."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    keys = shared / "keys"
    try:
        (shared / "keys-are-made").mkdir()
    except FileExistsError:
        assert until(keys.exists, START_S)
    else:
        new = shared / "new-keys"
        new.mkdir(mode=0o700)
        _make_keys(new)
        new.rename(keys)
    return Keyring(keys)


def _make_keys(folder):
    with Stage() as stage:
        for server in ("server", "elsewhere"):
            run_tool(stage.server, "spale_core.cli.keygen", "server", "--out", str(folder / server))
        made = [(name, "server") for name in (*CLIENTS, "stranger")] + [("lost", "elsewhere")]
        for name, server in made:
            public = folder / server / "server.key.pub"
            options = ("--name", name, "--bundle", "--server-pub", str(public))
            folders = ("--out", str(folder / "private"))
            run_tool(stage.client, "spale_core.cli.keygen", "client", *options, *folders)
    (folder / "clients").mkdir(mode=0o700)
    for name in (*CLIENTS, "lost"):
        shutil.copy(folder / "private" / f"{name}.pem", folder / "clients")


def _base_config(keyring):
    per_client = {
        f"{name.upper()}_{key}": value for name, changes in CLIENTS.items() for key, value in changes.items()
    }
    return {
        "IFACE": DOOR,
        "LISTEN_PORT": SPA_PORT,
        "PROTECTED_PORTS": ",".join(map(str, ALL)),
        "SERVER_KEY": keyring.server_key,
        "CLIENTS_DIR": keyring.folder / "clients",
        "SPA_RL_RATE": 0,
        **per_client,
    }


@contextmanager
def _house(keyring, folder, enforcer):
    with Stage(network4="198.18.0.0/16", network6="2001:db8::/32") as stage:
        folders = {"STATE_DIR": folder / "state", "PIN_DIR": folder / "pins", "SOCKET": folder / "spale.sock"}
        own = {**folders, **ENFORCERS[enforcer]}
        house = House(stage, folder, keyring, {**_base_config(keyring), **own})
        try:
            house.open_shop()
            yield house
        finally:
            house.close()


@pytest.fixture(scope="session", params=ENFORCERS)
def enforcer(request):
    """Return the name of one way to enforce; a test that asks for it runs with each."""
    return request.param


@pytest.fixture(scope="session")
def guarded(keyring, enforcer, tmp_path_factory):
    """Return a house whose daemon runs, shared by all tests that leave it running; it has a past."""
    with _house(keyring, tmp_path_factory.mktemp(enforcer), enforcer) as house:
        Rig.remember(house.config["STATE_DIR"])
        house.guard()
        yield house


@pytest.fixture(scope="session")
def hall(keyring, enforcer, tmp_path_factory):
    """Return a guarded, shared house for sessions: a grant of `brief` ends after two seconds of silence."""
    with _house(keyring, tmp_path_factory.mktemp(f"hall-{enforcer}"), enforcer) as house:
        ports = ",".join(map(str, (*ALL, DESK, NOBODY)))
        house.guard(PROTECTED_PORTS=ports)
        yield house


@pytest.fixture
def house(keyring, enforcer, tmp_path):
    """Return a house of the test's own, unguarded as yet."""
    with _house(keyring, tmp_path, enforcer) as house:
        yield house


@pytest.fixture
def tc_house(keyring, tmp_path):
    """Return a house of the test's own, to be guarded by tc: for what no enforcer has a part in."""
    with _house(keyring, tmp_path, "tc") as house:
        yield house


@pytest.fixture(scope="module")
def tc_hall(keyring, tmp_path_factory):
    """Return such a house, unguarded as yet, that the tests of a module share."""
    with _house(keyring, tmp_path_factory.mktemp("tc-hall"), "tc") as house:
        yield house


@pytest.fixture(scope="module")
def box(tc_hall, keyring, tmp_path_factory):
    """Return a machine that systemd has booted with spale as its service, in the network of `tc_hall`."""
    reason = boxes.lacks()
    if reason:
        pytest.skip(reason)
    tree = tmp_path_factory.mktemp("tree")
    boxes.plant(tree, keyring)
    try:
        made = boxes.Box(tc_hall, tree)
    except boxes.NoBootError as error:
        if os.environ.get("SPALE_REQUIRE_KERNEL") == "1":
            raise
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(params=(4, 6), ids=("ipv4", "ipv6"))
def family(request):
    """Return a version of IP; a test that asks for it runs with each."""
    return request.param


@pytest.fixture(scope="session")
def wait_until():
    """Return a function that lets the time run up to a moment of time.monotonic."""

    def wait(moment):
        until(lambda: time.monotonic() >= moment, max(0.0, moment - time.monotonic()) + 1)

    return wait


def pytest_collection_modifyitems(items):
    """Mark everything here as needing root and a kernel with BPF."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("kernel")
