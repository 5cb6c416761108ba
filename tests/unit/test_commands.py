# SPDX-License-Identifier: MIT
"""The commands as an administrator calls them, against a real socket whose answers are known."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import get_type_hints

import pytest
from switchboard import (
    CLEAN,
    FINGERPRINT,
    ROOT,
    answers,
    documented,
    facts,
    process,
    share,
    spale,
)

from spale_core.cli.listings import LISTINGS
from spale_core.cli.words import REASONS, reason_words
from spale_core.control import facts as facts_module
from spale_core.control import rows, wire
from spale_core.model import Reason

EXAMPLES = documented()
HERE = [(words, lines) for words, lines in EXAMPLES if words[0] != "explain"]
"""Those that need no kernel; tests/kernel/test_explain.py has the others."""

ASKING = {
    "authorize add --ip 192.0.2.9": ("authorize_add", {"ip": "192.0.2.9"}),
    "authorize add --ip fe80::7%eth0 --ports 22,6000-6001/udp --idle-sec -1 --grace-sec 0": (
        "authorize_add",
        {"ip": "fe80::7%eth0", "ports": ["22", "6000-6001/udp"], "idle_sec": -1, "grace_sec": 0},
    ),
    "authorize del --ip 192.0.2.9 --ports 22/tcp": (
        "authorize_del",
        {"ip": "192.0.2.9", "ports": ["22/tcp"]},
    ),
    "revoke --client anna": ("revoke", {"client": "anna"}),
    "allowlist add 10.0.0.0/8": ("allowlist_add", {"prefix": "10.0.0.0/8"}),
    "allowlist del 10.0.0.0/8": ("allowlist_del", {"prefix": "10.0.0.0/8"}),
    "reload": ("reload", {}),
    "confirm": ("confirm", {}),
    "status": ("status", {}),
    **{f"list {name}": (f"list_{name}", {}) for name in LISTINGS},
}
ROWS = {
    "list_authorized": rows.Authorized,
    "list_allowlist": rows.Allowed,
    "list_ports": rows.Port,
    "list_sessions": rows.OpenSession,
    "list_clients": rows.Client,
    "list_dropped": rows.Dropped,
}


@pytest.mark.parametrize(("words", "lines"), HERE, ids=[" ".join(words) for words, _ in HERE])
def test_documented_examples(board, words, lines):
    """docs/operations.md shows what is printed, to the letter."""
    done = spale(*words, SPALE_SOCKET=str(board.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == lines
    assert max(map(len, lines)) <= 80


def test_every_command_has_an_example():
    """No list, and none of the commands that ask, is left out."""
    shown = {" ".join(words[:2]) if words[0] in {"list", "allowlist"} else words[0] for words, _ in EXAMPLES}
    lists = {f"list {name}" for name in LISTINGS}
    changes = {"authorize", "revoke", "allowlist add", "allowlist del"}
    assert shown == lists | changes | {"status", "explain", "reload", "confirm"}


@pytest.mark.parametrize("words", ASKING)
@pytest.mark.parametrize("manage", [(), ("--manage",)], ids=["", "manage"])
def test_what_is_asked_and_printed_as_json(board, words, manage):
    """With --json it is exactly what the daemon answered; --manage before it changes nothing."""
    method, wanted = ASKING[words]
    done = spale(*manage, *words.split(), "--json", "--socket", board.path)
    assert (done.returncode, done.stderr) == (0, "")
    asked, params = board.calls[-1]
    assert (asked, {key: value for key, value in params.items() if value is not None}) == (method, wanted)
    assert json.loads(done.stdout) == board.answers[method]


def test_answers_have_the_keys_that_the_daemon_gives():
    """So these tests are about the daemon that there is."""
    for method, kind in ROWS.items():
        assert all(row.keys() == get_type_hints(kind).keys() for row in answers()[method]), method
    assert answers()["status"].keys() == get_type_hints(rows.Status).keys()
    assert facts().keys() == get_type_hints(facts_module.Facts).keys()


@pytest.mark.parametrize("name", LISTINGS)
def test_empty_lists(board_with, name):
    """A sentence, and exit 0."""
    empty = {"rate": 0, "burst": 0, "sources": []} if name == "ratelimit" else []
    done = board_with(("list", name), **{f"list_{name}": empty})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == LISTINGS[name].empty


def test_nothing_to_end(board_with):
    """It is said, and no mistake."""
    done = board_with(("authorize", "del", "--ip", "::1"), authorize_del={"ended": 0, "sessions": 0})
    words = "nothing was authorized by hand for ::1 (knocks: spale revoke)\n"
    assert (done.returncode, done.stdout) == (0, words)


def test_addresses_are_sorted_as_numbers(board_with):
    """IPv4 first, and 9 before 10."""
    found = [share("a", source, "22/tcp", 1, None) for source in ("::2", "10.0.0.10", "10.0.0.9", "::10")]
    done = board_with(("list", "authorized"), list_authorized=found)
    sources = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert sources == ["10.0.0.9", "10.0.0.10", "::2", "::10"]


def test_what_a_stranger_names_forges_nothing(board_with):
    """No line, no escape of a terminal, in a table or in a sentence."""
    evil = "x\n\x1b[2Jy\u202e"
    found = [share(evil, evil, evil, 1, None)]
    shown = board_with(("list", "authorized"), list_authorized=found)
    refused = board_with(("revoke", "--client", "x"), revoke=wire.Problem(65, evil.replace("\n", "")))
    assert len(shown.stdout.splitlines()) == 3, "the row takes two"
    assert refused.returncode == 65
    for text in (shown.stdout, refused.stderr):
        assert re.fullmatch(r"[\x20-\x7e\n]+", text)


def test_whoever_reads_may_stop_reading(board):
    """`spale list … | head -1` ends without a stack."""
    command = process("list", "clients", "--socket", board.path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN) as reader:
        reader.stdout.close()
        assert (reader.stderr.read(), reader.wait(60)) == (b"", 141)


def test_status_says_what_is_wrong(board_with):
    """What is not guarded, what was lost, that nothing is dropped, and a trial that ends."""
    now_ms = time.time_ns() // 1_000_000
    changes = {
        "name": "office",
        "interfaces": [
            {"interface": "eth0", "mode": "tcx", "attached": True, "waiting": False, "losses": 2},
            {"interface": "eth1", "mode": None, "attached": False, "waiting": False, "losses": 1},
        ],
        "log_only": True,
        "trial_left_s": 250,
        "unbound_until_unix_ms": now_ms + 29_500,
        "reload": {"last": "a:1: X: no\na:2: Y: no", "at_unix_ms": now_ms - 250_000},
    }
    done = board_with(("status",), status=answers()["status"] | changes)
    said = " ".join(done.stdout.split())
    for words in (
        "spale 1.0.0, called office, up for 3 h",
        "interface eth0, guarded by tcx, taken off by others 2 times",
        "interface eth1, NOT GUARDED, taken off by others 1 time",
        "log only nothing is dropped (LOG_ONLY)",
        "trial opens again and ends in 4 min, unless `spale confirm` comes",
        "those that are bound to no address are taken in ",
        "last reload failed 4 min ago, and changed nothing: a:1: X: no a:2: Y: no",
    ):
        assert words in said


def test_fingerprints_are_whole(board):
    """Nobody compares the half of one."""
    assert spale("list", "clients", "--socket", board.path).stdout.count(FINGERPRINT) == 2


def test_every_reason_has_words_in_the_documents():
    """What is printed is in the page about operations, and the kernel's part in that about the map ABI."""
    row = re.compile(r"^\| `(\w+)` \| (.*) \|$", re.MULTILINE)
    operations = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("\n## Reasons\n")[2]
    kernel = (ROOT / "docs" / "map-abi.md").read_text("utf-8").partition("\n## Reasons\n")[2]
    words = {reason.value: REASONS[reason] for reason in Reason}
    assert dict(row.findall(operations.partition("\n## ")[0])) == words
    abi = dict(row.findall(kernel.partition("\n## ")[0]))
    assert abi
    assert abi.items() <= words.items()
    assert reason_words("of_tomorrow") == ""
