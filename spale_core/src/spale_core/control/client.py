# SPDX-License-Identifier: MIT
"""The commands' end of the management socket: asks the daemon, waits for the answer. Blocking.

Each failure is one sentence and an exit code.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any, Final, Self

from spale_core.control import wire
from spale_core.errors import (
    ConfigError,
    DataError,
    PermissionDeniedError,
    SpaleError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

PATIENCE_S: Final = 10.0
"""How long the daemon may take for an answer."""

LONG_S: Final = 60.0
"""How long it may take for one that has much to do."""

_LONG: Final = frozenset({"reload"})
_PAUSE_S: Final = 0.01
_MAX_ANSWER: Final = 2**28
_PIECE: Final = 2**16
_KINDS: Final = {
    kind.exit_code: kind
    for kind in (ConfigError, DataError, PermissionDeniedError, UnavailableError, UsageError)
}


class Client:
    """A connection to a daemon; made by `connect`."""

    def __init__(self, sock: socket.socket, path: Path, patience_s: float | None = None) -> None:
        """Speak over `sock` to `path`; wait for `patience_s` seconds, by default for as long as is usual."""
        self._sock = sock
        self._path = path
        self._patience_s = patience_s
        self._number = 0
        self._received = bytearray()
        self.hello: Mapping[str, Any] = {}

    @classmethod
    def connect(cls, path: Path, patience_s: float | None = None) -> Self:
        """Return a connection to the daemon at `path`, which speaks the same protocol.

        Raise UnavailableError if there is none, or another one, PermissionDeniedError if it is not for us.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client = cls(sock, path, patience_s)
        try:
            sock.settimeout(PATIENCE_S if patience_s is None else patience_s)
            client._open()
        except BaseException:
            sock.close()
            raise
        return client

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def call(self, method: str, **params: object) -> Any:  # noqa: ANN401 - each method has its own result
        """Return the result of `method`; docs/control.md says what that is.

        Raise the SpaleError whose exit code the daemon gives as the reason, with its sentence;
        UnavailableError if it does not answer, or does not know the method.
        """
        self._number += 1
        limit_s = LONG_S if method in _LONG else PATIENCE_S
        deadline_s = time.monotonic() + (limit_s if self._patience_s is None else self._patience_s)
        try:
            answer = self._ask(wire.call(self._number, method, params), deadline_s)
        except TimeoutError as error:
            raise UnavailableError(f"the daemon at {self._path} does not answer") from error
        except OSError as error:
            raise UnavailableError(
                f"the daemon at {self._path} broke off: {error.strerror}; see its log"
            ) from error
        if isinstance(answer.get("error"), dict):
            raise _failure(method, answer["error"])
        if answer.get("id") != self._number or "result" not in answer:
            raise UnavailableError(f"what answers at {self._path} is no spale daemon")
        return answer["result"]

    def _open(self) -> None:
        try:
            self._knock()
        except PermissionError as error:
            raise PermissionDeniedError(
                f"{self._path}: only root may talk to the daemon, and members of its SOCKET_GROUP may read"
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UnavailableError(
                f"no daemon is running at {self._path}; if it has a SOCKET or a --name of its own, give that"
            ) from error
        except TimeoutError as error:
            raise UnavailableError(f"the daemon at {self._path} does not answer") from error
        except OSError as error:
            raise UnavailableError(f"{self._path}: {error.strerror or error}") from error
        found = self.call("hello")
        if not isinstance(found, dict) or not isinstance(found.get("protocol"), int):
            raise UnavailableError(f"what answers at {self._path} is no spale daemon")
        self._judge(found["protocol"], found.get("version"))
        self.hello = found

    def _knock(self) -> None:
        """Connect, also where others stand in line for it; raise OSError."""
        deadline_s = time.monotonic() + (self._sock.gettimeout() or PATIENCE_S)
        while True:
            try:
                self._sock.connect(str(self._path))
            except BlockingIOError:
                _left(deadline_s)
                time.sleep(_PAUSE_S)
            else:
                return

    def _judge(self, protocol: int, version: object) -> None:
        if protocol == wire.PROTOCOL:
            return
        age = "older" if protocol < wire.PROTOCOL else "newer"
        raise UnavailableError(
            f"the daemon at {self._path} is {age} than this command (it is version {version}); "
            + ("restart it" if age == "older" else "use the command of its version")
        )

    def _ask(self, line: bytes, deadline_s: float) -> dict[str, Any]:
        """Send `line` and return the object that comes back; raise OSError, UnavailableError."""
        try:
            self._sock.settimeout(_left(deadline_s))
            self._sock.sendall(line)
        except BrokenPipeError:
            # Who is turned away is told why before the line is cut.
            pass
        answer = self._read_line(deadline_s)
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UnavailableError(f"what answers at {self._path} is no spale daemon")
        return value

    def _read_line(self, deadline_s: float) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._sock.settimeout(_left(deadline_s))
            piece = self._sock.recv(_PIECE)
            if not piece or len(self._received) > _MAX_ANSWER:
                raise UnavailableError(f"the daemon at {self._path} broke off; see its log")
            self._received += piece
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line


def _left(deadline_s: float) -> float:
    """Return how many seconds are left; raise TimeoutError if none are."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _failure(method: str, error: Mapping[str, Any]) -> SpaleError:
    """Return what the daemon says went wrong."""
    code, message = error.get("code"), str(error.get("message"))
    if code == wire.NO_METHOD:
        return UnavailableError(f"the daemon cannot do {method}: it is of another version; restart it")
    if code == wire.BAD_PARAMS:
        return UsageError(message.removeprefix(f"{method}: "))
    kind = _KINDS.get(code) if isinstance(code, int) else None
    return SpaleError(message) if kind is None else kind(message)
