# SPDX-License-Identifier: MIT
"""The commands' end of the management socket: each failure is one sentence and an exit code."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager

import pytest

from spale_core.control import wire
from spale_core.control.client import Client
from spale_core.errors import (
    ConfigError,
    DataError,
    PermissionDeniedError,
    SpaleError,
    UnavailableError,
    UsageError,
)

HELLO = {"protocol": wire.PROTOCOL, "version": "1.2.3", "pid": 7, "role": "admin"}


@contextmanager
def somebody(path, *answers, stays=True):
    """Let somebody at `path` answer each line with the next of `answers` (bytes, or what `wire` makes).

    Who does not stay hears one more and hangs up.
    """

    def serve():
        sock, _ = listening.accept()
        with sock, sock.makefile("rb") as lines:
            for answer in answers:
                line = lines.readline()
                if not line:
                    return
                number = json.loads(line)["id"]
                sock.sendall(answer if isinstance(answer, bytes) else answer(number))
            lines.readline()
            if stays:
                lines.readline()

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
    path.unlink()
    thread.join(timeout=10)


def says(value):
    """Return what answers with a result."""
    return lambda number: wire.result(number, value)


def refuses(code, words):
    """Return what answers with an error."""
    return lambda number: wire.error(wire.Problem(code, words, number))


@pytest.fixture
def path(tmp_path):
    """Return where somebody will be."""
    return tmp_path / "spale.sock"


def failure(path, *answers, patience_s=5.0):
    """Return the error of a connection whose peer answers so."""
    with (
        somebody(path, *answers),
        pytest.raises(SpaleError) as caught,
        Client.connect(path, patience_s) as client,
    ):
        client.call("status")
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_daemon_that_answers(path):
    """Hello first, then what is asked; a long answer too."""
    many = [{"name": f"client-{number}"} for number in range(10000)]
    with somebody(path, says(HELLO), says(many)), Client.connect(path) as client:
        assert client.hello == HELLO
        assert client.call("list_clients") == many


@pytest.mark.parametrize("kind", ["nothing", "stale", "folder"])
def test_no_daemon(path, kind):
    """No socket, or one that a daemon has left, or no folder for it."""
    if kind == "stale":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
            left.bind(str(path))
    with pytest.raises(UnavailableError) as caught:
        Client.connect(path / "deeper" if kind == "folder" else path)
    assert caught.value.exit_code == 69
    assert "no daemon is running at" in str(caught.value)


def test_what_is_no_socket(path):
    """A file is nobody who answers."""
    path.touch()
    with pytest.raises(UnavailableError, match=r"spale\.sock"):
        Client.connect(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission(path):
    """It is said who may."""
    with somebody(path):
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionDeniedError, match="only root may talk to the daemon") as caught:
                Client.connect(path)
        finally:
            os.seteuid(0)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                other.connect(str(path))
    assert caught.value.exit_code == 77


@pytest.mark.parametrize(
    ("protocol", "words"), [(0, "older than this command"), (2, "newer than this command")]
)
def test_another_protocol(path, protocol, words):
    """Neither is guessed at."""
    error = failure(path, says({**HELLO, "protocol": protocol, "version": "0.9"}))
    assert error.exit_code == 69
    assert words in str(error)
    assert "version 0.9" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\n",
        b"[]\n",
        b"null\n",
        b"\xff\n",
        b"[" * 100000 + b"\n",
        says(None),
        says([1]),
        says({"protocol": "one"}),
        lambda number: wire.result(number + 1, HELLO),
    ],
)
def test_somebody_else(path, answer):
    """Whatever that is, it is no daemon of ours."""
    error = failure(path, answer)
    assert error.exit_code == 69
    assert "is no spale daemon" in str(error)


def test_one_that_does_not_answer(path):
    """After a while; half an answer is none."""
    for half in (b"", b'{"jsonrpc"'):
        error = failure(path, says(HELLO), half, patience_s=0.2)
        assert (error.exit_code, "does not answer" in str(error)) == (69, True)


def test_one_that_hangs_up(path):
    """Before hello, and after it."""
    for answers in ((), (says(HELLO),)):
        with (
            somebody(path, *answers, stays=False),
            pytest.raises(UnavailableError, match="broke off"),
            Client.connect(path) as client,
        ):
            client.call("status")


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (64, UsageError, 64),
        (65, DataError, 65),
        (69, UnavailableError, 69),
        (77, PermissionDeniedError, 77),
        (78, ConfigError, 78),
        (70, SpaleError, 70),
        (12345, SpaleError, 70),
        (wire.BAD_PARAMS, UsageError, 64),
        (wire.NO_CALL, SpaleError, 70),
    ],
)
def test_what_the_daemon_refuses(path, code, kind, exit_code):
    """Its sentence, and the exit code that it gives."""
    error = failure(path, says(HELLO), refuses(code, "no way"))
    assert (type(error), error.exit_code, str(error)) == (kind, exit_code, "no way")


def test_a_method_that_it_does_not_know(path):
    """It is of another version, though it speaks the same protocol."""
    error = failure(path, says(HELLO), refuses(wire.NO_METHOD, "there is no method"))
    assert (error.exit_code, "cannot do status" in str(error)) == (69, True)
