# SPDX-License-Identifier: MIT
"""What the commands say where they cannot: one sentence each, and the exit code of its kind."""

from __future__ import annotations

import socket
import stat
import subprocess

import pytest
from switchboard import CLEAN, answers, process, somebody, spale

from spale_core.control import wire


@pytest.mark.parametrize(
    ("code", "exit_code"), [(64, 64), (65, 65), (69, 69), (70, 70), (77, 77), (78, 78), (-32602, 64)]
)
def test_what_the_daemon_refuses(board_with, code, exit_code):
    """Its sentence, and its exit code."""
    done = board_with(("allowlist", "del", "::/0"), allowlist_del=wire.Problem(code, "because of that"))
    assert (done.returncode, done.stdout, done.stderr) == (exit_code, "", "spale: because of that\n")


def test_a_reload_with_mistakes(board_with):
    """Each has its line; exit 78."""
    done = board_with(("reload",), reload=wire.Problem(78, "a:1: X: no\na:2: Y: no"))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "spale: nothing was changed:\na:1: X: no\na:2: Y: no\n"


def test_a_method_that_the_daemon_does_not_have(board_with):
    """An older one; exit 69."""
    refused = wire.Problem(wire.NO_METHOD, "no")
    done = board_with(("confirm",), confirm=refused)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == ("spale: the daemon cannot do confirm: it is of another version; restart it\n")


@pytest.mark.parametrize(("protocol", "age"), [(0, "older"), (2, "newer")])
def test_a_daemon_of_another_time(board_with, protocol, age):
    """Neither is understood by halves; exit 69."""
    hello = answers()["hello"] | {"protocol": protocol, "version": "0.9"}
    done = board_with(("status",), hello=hello)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
    assert f"is {age} than this command (it is version 0.9)" in done.stderr


def test_without_a_daemon(tmp_path):
    """Nothing there, nothing that listens: one sentence that names the place; exit 69."""
    missing, left = tmp_path / "none", tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(left))
    for path in (missing, left):
        for words in (("status",), ("list", "ports"), ("revoke", "--client", "x")):
            done = spale(*words, "--socket", path)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
            assert f"no daemon is running at {path}" in done.stderr


def test_the_socket_is_found_as_the_daemon_finds_it(board, tmp_path):
    """An option before the environment before the file; the name is put behind it."""
    conf = tmp_path / "spale.conf"
    conf.write_text(f"IFACE=nonesuch0\nwhat is this\nSOCKET={board.path}  # here\n")
    conf.chmod(stat.S_IRUSR | stat.S_IWUSR)
    named = board.path.with_name(f"{board.path.name}-office")
    named.unlink(missing_ok=True)
    named.symlink_to(board.path)
    for words, environ in (
        (("--config", conf), {}),
        (("--config", conf), {"SOCKET": str(board.path)}),
        (("--config", conf, "--name", "office"), {}),
        (("--socket", board.path), {"SPALE_SOCKET": "/nonesuch", "SOCKET": "/none"}),
        ((), {"SPALE_SOCKET": str(board.path), "SOCKET": "/nonesuch"}),
    ):
        done = spale("status", *words, **environ)
        assert (done.returncode, done.stderr) == (0, "")
    assert "running at /nonesuch;" in spale("status", "--config", conf, SOCKET="/nonesuch").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--socket", ""), "--socket: is empty; write a path"),
        (("--name", "a/b"), "--name: 'a/b' cannot be a name"),
        (("--config", "/nonesuch.conf"), "--config: "),
    ],
)
def test_a_socket_that_cannot_be_found(words, said):
    """Named as `spale run` names it; exit 78."""
    done = spale("status", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (78, "", 1)
    assert done.stderr.startswith(f"spale: {said}")


@pytest.mark.parametrize(
    "words",
    [
        "list",
        "list nonsense",
        "authorize",
        "authorize add",
        "authorize add --ip 192.0.2.1 --ports x",
        "authorize add --ip 192.0.2.1 --idle-sec 0",
        "authorize del --ip 192.0.2.1 --idle-sec 5",
        "revoke",
        "allowlist add",
        "allowlist change ::1",
        "explain 192.0.2.1",
        "explain 192.0.2.1 22,23",
        "explain 192.0.2.1 0",
        "status stray",
        "status --jso",
        "check --jso",
    ],
)
def test_command_lines_that_are_none(words):
    """Exit 64 and one line, before anybody is asked."""
    done = spale(*words.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (64, "", 1)
    assert done.stderr.startswith("spale: ")


def test_without_permission(board):
    """Who may not write to the socket is told who may; explain needs root even before that. Exit 77."""
    become = somebody()
    for words, said in (
        (
            ("status",),
            f"{board.path}: only root may talk to the daemon, and members of its SOCKET_GROUP may read",
        ),
        (("explain", "192.0.2.1", "22"), "only root can explain, which loads a program: run it with sudo"),
    ):
        command = process(*words, "--socket", board.path, become=become)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=CLEAN)
        assert (done.returncode, done.stdout, done.stderr) == (77, "", f"spale: {said}\n")


def test_more_ports_than_a_call_can_have(board):
    """They are not sent at all; exit 64."""
    ports = ",".join(str(port) for port in range(1, 65535, 2))
    done = spale("authorize", "add", "--ip", "::1", "--ports", ports, "--socket", board.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (64, "", 1)
    assert "--ports" in done.stderr
