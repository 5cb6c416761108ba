# SPDX-License-Identifier: MIT
"""A real management socket whose answers are known: those of the examples in docs/operations.md."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
import threading
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import pytest
from attrs import define, field, frozen

from spale_core.cli.main import main
from spale_core.control import wire

ROOT = Path(__file__).parents[2]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("SPALE_")}
FINGERPRINT = "SHA256:Q2hhbmdlZCBieSBub2JvZHkgYnV0IGhlciBvd24gc2U"
LONG6 = "2001:db8:7:1234:5678:9abc:def0:17"
SOMEBODY = 65533
WINDOWS = {"idle_s": 60, "grace_s": 300}


def share(client, source, service, used_s, ends_s, **windows):
    """Return a row of list_authorized: last used `used_s` ago."""
    idle, grace = (windows.get(name, WINDOWS[name]) for name in ("idle_s", "grace_s"))
    return {
        "client": client,
        "source": source,
        "service": service,
        "state": "live" if idle is None or used_s <= idle else "grace",
        "idle_s": idle,
        "grace_s": grace,
        "used_s_ago": used_s,
        "idle_left_s": None if idle is None else max(0, idle - used_s),
        "grace_left_s": None if grace is None else max(0, grace - used_s),
        "ends_in_s": ends_s,
    }


def session(source, port, service, times, owners, **changes):
    """Return a row of list_sessions."""
    row = {
        "source": source,
        "source_port": port,
        "destination": "2001:db8:1::22" if ":" in source else "203.0.113.9",
        "service": service,
        "state": "open",
        "opened_s_ago": times[0],
        "used_s_ago": times[1],
        "owners": owners,
    }
    return row | changes


def clients(now_ms):
    """Return the answer of list_clients."""
    common = {"fingerprint": FINGERPRINT, "auth": "hpke", **WINDOWS, "max_s": 43200}
    anna = {"name": "anna", "services": ["22/tcp", "443/tcp"], "sources": [], "holds": 2}
    bob = {"name": "bob", "services": ["22/tcp"], "sources": ["198.51.100.0/24"], "holds": 0}
    return [
        {**anna, **common, "expires_unix_ms": None, "last_knock_unix_ms": now_ms - 250_000},
        {**bob, **common, "expires_unix_ms": now_ms + 86_400_000 * 40 - 500, "last_knock_unix_ms": None},
    ]


def status(now_ms):
    """Return the answer of status."""
    return {
        "version": "1.0.0",
        "pid": 4242,
        "listener_pid": 4243,
        "listener_filter": True,
        "name": None,
        "dataplane": "tc",
        "loader": "libbpf",
        "interfaces": [{"interface": "eth0", "mode": "tcx", "attached": True, "waiting": False, "losses": 0}],
        "listen_port": 55555,
        "log_only": False,
        "store": "sqlite",
        "uptime_s": 12345,
        "clients": 2,
        "grants": 3,
        "sessions": 2,
        "max_grants": 65536,
        "max_sessions": 65536,
        "unbound_until_unix_ms": None,
        "reload": {"last": "ok", "at_unix_ms": now_ms - 3_000_500},
        "trial_left_s": None,
        "warnings": ["PROTECTED_PORTS: 6000/tcp is inside net.ipv4.ip_local_port_range"],
        "socket": "/run/spale/spale.sock",
    }


def facts(source="198.51.100.7", service="22/tcp", **changes):
    """Return the answer of facts: anna is let in from 198.51.100.7, live."""
    now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    second = 10**9
    found = {
        "source": source,
        "ifindex": 0,
        "service": service,
        "version": version("spale-core"),
        "now_ns": now_ns,
        "dataplane": "tc",
        "settings": {
            "spa_port": 55555,
            "rate": 3,
            "burst": 3,
            "session_s": 86400,
            "log_only": False,
            "xdp_mode": "auto",
            "loader": "libbpf",
        },
        "services": ["22/tcp", "443/tcp"],
        "always_allow": [{"prefix": "10.0.0.0/8", "origin": "configuration"}],
        "grants": [],
        "sessions": [],
        "shares": [],
        "may": ["anna", "bob"],
    }
    if source == "198.51.100.7" and service == "22/tcp":
        times = {"last_ns": now_ns - 15 * second, "idle_ns": 60 * second, "grace_ns": 300 * second}
        found["grants"] = [{"service": service, **times, "end_ns": now_ns + 40000 * second}]
        found["shares"] = [share("anna", source, service, 15, 40000)]
    return found | changes


def answers():
    """Return what each method answers: a value, or a function of its parameters."""
    now_ms = time.time_ns() // 1_000_000
    return {
        "hello": {"protocol": wire.PROTOCOL, "version": version("spale-core"), "pid": 4242, "role": "admin"},
        "status": status(now_ms),
        "list_authorized": [
            share(None, LONG6, "443/tcp", 90, None, grace_s=None),
            share("anna", "198.51.100.7", "22/tcp", 15, 40000),
            share("anna", "198.51.100.7", "443/tcp", 240, 40000),
        ],
        "list_allowlist": [
            {"prefix": "10.0.0.0/8", "origin": "configuration"},
            {"prefix": "2001:db8:7::/48", "origin": "manual"},
        ],
        "list_ports": [
            {"service": "22/tcp", "clients": 2, "grants": 1, "sessions": 2},
            {"service": "443/tcp", "clients": 1, "grants": 2, "sessions": 0},
        ],
        "list_ratelimit": {"rate": 3, "burst": 3, "sources": [{"source": "198.51.100.7", "tokens": 2}]},
        "list_sessions": [
            session("198.51.100.7", 50122, "22/tcp", (250, 3), ["anna"]),
            session("198.51.100.20", 40022, "22/tcp", (None, 4000), []),
            session(LONG6, 51000, "443/tcp", (7300, 61), ["anna", None], state="closing"),
        ],
        "list_clients": clients(now_ms),
        "list_dropped": [
            {"reason": "no_grant", "count": 1234, "last_source": "192.0.2.66"},
            {"reason": "unknown_tag", "count": 7, "last_source": LONG6},
        ],
        "authorize_add": {"granted": ["22/tcp", "443/tcp"]},
        "authorize_del": {"ended": 2, "sessions": 1},
        "revoke": {"ended": 2, "sessions": 1},
        "allowlist_add": {},
        "allowlist_del": {},
        "reload": {
            "services": ["22/tcp", "443/tcp"],
            "clients": 2,
            "grants": 3,
            "cut": 1,
            "ended": 0,
            "sessions": 2,
            "took_s": 0.31,
            "log_only": False,
        },
        "confirm": {},
        "facts": lambda params: facts(params["source"], params["service"]),
    }


@define
class Switchboard:
    """Answers at `path`; `calls` are the methods and parameters that were asked, but for hello."""

    path: Path
    answers: dict
    calls: list = field(factory=list)

    def serve(self, listening):
        """Answer one connection after the other until the socket is shut."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    connection.sendall(self._answer(json.loads(line)))

    def _answer(self, call):
        method, params = call["method"], call["params"]
        if method != "hello":
            self.calls.append((method, params))
        answer = self.answers.get(method, wire.Problem(wire.NO_METHOD, f"there is no {method}"))
        answer = answer(params) if callable(answer) else answer
        if isinstance(answer, wire.Problem):
            return wire.error(wire.Problem(answer.code, answer.message, call["id"]))
        return wire.result(call["id"], answer)


@contextmanager
def switchboard(folder, **changes):
    """Answer at a socket in `folder`."""
    board = Switchboard(folder / "s", answers() | changes)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(board.path))
    listening.listen(8)
    thread = threading.Thread(target=board.serve, args=(listening,))
    thread.start()
    try:
        yield board
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
        board.path.unlink()


def somebody():
    """Return the beginning of a command that makes somebody of us who may read and no more; skip without."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("no setpriv, or not root")
    who = (f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups")
    # So that he can read our programs, wherever they are.
    return setpriv, *who, *(f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps"))


@frozen
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def spale(*arguments, **environ):
    """Run `spale` in this process, with nothing else of ours in its environment."""
    before = dict(os.environ)
    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        os.environ.clear()
        os.environ.update(CLEAN | environ)
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main([str(argument) for argument in arguments])
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Done(code, stdout.getvalue(), stderr.getvalue())


def process(*arguments, become=()):
    """Return the command that runs it as a process of its own."""
    return [*become, sys.executable, "-m", "spale_core.cli.main", *map(str, arguments)]


def documented():
    """Return the examples of docs/operations.md that ask a daemon: the command's words, and its output."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    _, _, section = text.partition("## Looking in and changing\n")
    lines = section.partition("\n## ")[0].splitlines()
    found = []
    for line in lines:
        if line.startswith("    $ spale "):
            found.append((line.removeprefix("    $ spale ").split(), []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return found
