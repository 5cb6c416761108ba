# SPDX-License-Identifier: MIT
"""One who asks: what came in, what goes out, and one bounded step at a time in between."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Final

from spale_core.config.mistakes import BadValueError, quoted
from spale_core.control import methods, peers, wire
from spale_core.control.answers import Later, Production, Rows, Whole
from spale_core.control.wire import Problem
from spale_core.errors import PermissionDeniedError, SpaleError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from spale_core.control.desk import Desk

READ_AT_ONCE: Final = 4096
SENT_AT_ONCE: Final = 65536
STEP_NS: Final = 200_000
"""So long rows are made in one step, in nanoseconds."""

_SHOWN: Final = 64


class Connection:
    """A peer whose `role` is known. The selector wakes `step`, which raises nothing."""

    def __init__(self, sock: socket.socket, role: str, selector: selectors.BaseSelector, desk: Desk) -> None:
        """Own `sock`, which does not block, and let `selector` watch it."""
        self._sock = sock
        self._selector = selector
        self._desk = desk
        self._received = bytearray()
        self._output = bytearray()
        self._production: Production | None = None
        self._number: wire.Id = 0
        self._awaited: object = None
        self._is_ending = False
        self._interest = 0
        self.role = role
        self.served = 0
        self.moved_s = time.monotonic()
        self.is_open = True
        self._watch()

    @property
    def is_busy(self) -> bool:
        """Tell whether an answer is under way."""
        return bool(self._output) or self._production is not None or self._awaited is not None

    @property
    def is_behind(self) -> bool:
        """Tell whether there is more for the peer than it has read; since when, `moved_s` says."""
        return bool(self._output) or self._production is not None

    def step(self) -> None:
        """Do the one thing that is due: read a piece, or answer one call, or make a piece of an answer."""
        try:
            if self._output:
                self._send()
            elif self._production is not None:
                self._produce(self._production)
            elif b"\n" in self._received:
                self._take_line()
            elif not self._is_ending:
                self._receive()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
        self._watch()

    def close(self) -> None:
        """Let go of the peer."""
        if not self.is_open:
            return
        self.is_open = False
        self._awaited = self._production = None
        if self._interest:
            self._selector.unregister(self._sock)
        self._sock.close()

    def _receive(self) -> None:
        piece = self._sock.recv(READ_AT_ONCE)
        self.moved_s = time.monotonic()
        if not piece:
            self.close()
            return
        self._received += piece
        end = self._received.find(b"\n")
        if (end if end >= 0 else len(self._received)) >= wire.MAX_LINE:
            self._received.clear()
            self._is_ending = True
            self._refuse(Problem(wire.NO_CALL, f"a call has at most {wire.MAX_LINE} bytes"))

    def _take_line(self) -> None:
        end = self._received.find(b"\n")
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        asked = wire.parse(line)
        if isinstance(asked, Problem):
            self._refuse(asked)
            return
        self._number = asked.id
        try:
            self._answer(asked)
        except BadValueError as error:
            self._refuse(Problem(wire.BAD_PARAMS, f"{asked.method}: {error}", asked.id))
        except SpaleError as error:
            self._tell(error)

    def _answer(self, asked: wire.Call) -> None:
        method = methods.METHODS.get(asked.method)
        if method is None:
            words = f"there is no method {quoted(asked.method[:_SHOWN])} in protocol {wire.PROTOCOL}"
            self._refuse(Problem(wire.NO_METHOD, words, asked.id))
            return
        if self.role != peers.ADMIN and not method.reading:
            raise PermissionDeniedError(f"only root may {method.name}; members of SOCKET_GROUP may read")
        answer = methods.call(method, self._desk, self.role, asked.params)
        if isinstance(answer, Rows | Whole):
            self._production = Production(asked.id, answer)
            self._produce(self._production)
        elif isinstance(answer, Later):
            self._await(answer)
        else:
            self._tell(answer)

    def _await(self, answer: Later) -> None:
        token = self._awaited = object()

        def tell(outcome: Mapping[str, object] | SpaleError) -> None:
            if self._awaited is token:
                self._awaited = None
                self._tell(outcome)
                self._watch()

        answer.ask(tell)

    def _produce(self, production: Production) -> None:
        deadline_ns = time.perf_counter_ns() + STEP_NS
        try:
            self._output += production.piece(lambda: time.perf_counter_ns() >= deadline_ns)
        except SpaleError as error:
            self._production = None
            if production.has_begun:
                self.close()  # half a line is out: nothing else can be said
            else:
                self._tell(error)
            return
        if production.is_done:
            self._production = None
        self._begin_to_send()

    def _tell(self, outcome: Mapping[str, object] | SpaleError) -> None:
        """Answer the call that was taken last."""
        if isinstance(outcome, SpaleError):
            self._refuse(Problem(outcome.exit_code, str(outcome), self._number))
        else:
            self._output += wire.result(self._number, outcome)
            self._begin_to_send()

    def _refuse(self, problem: Problem) -> None:
        self._output += wire.error(problem)
        self._begin_to_send()

    def _begin_to_send(self) -> None:
        """Count the peer's patience from now, and send what it takes at once; the rest when it reads."""
        self.moved_s = time.monotonic()
        try:
            self._send()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def _send(self) -> None:
        if not self._output:
            return
        sent = self._sock.send(self._output[:SENT_AT_ONCE])
        del self._output[:sent]
        self.moved_s = time.monotonic()

    def _watch(self) -> None:
        """Wait for what is due next: for nothing, while somebody else is to tell the answer."""
        if not self.is_open:
            return
        if self._is_ending and not self.is_busy:
            self.close()
            return
        wanted = self._wanted()
        if wanted == self._interest:
            return
        if not self._interest:
            self._selector.register(self._sock, wanted, self)
        elif not wanted:
            self._selector.unregister(self._sock)
        else:
            self._selector.modify(self._sock, wanted, self)
        self._interest = wanted

    def _wanted(self) -> int:
        if self._awaited is not None and not self._output:
            return 0
        is_due = self._output or self._production is not None or b"\n" in self._received
        return selectors.EVENT_WRITE if is_due else selectors.EVENT_READ
