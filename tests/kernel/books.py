# SPDX-License-Identifier: MIT
"""What the programs write about sessions, and the states that rows about sessions begin with."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import packets as p
from machine import NO_FLAGS, SECOND, Machine, client, now_ns

from spale_bpf import _abi
from spale_bpf._abi import Flag, SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    State = Callable[[Machine], None]

FAMILIES = (4, 6)
SERVERS = {4: p.SERVER4, 6: p.SERVER6}
PORT = 22
WINDOW_S = 60
"""SESSION_SEC in these rows."""


class Trace(enum.Enum):
    """What a packet leaves behind in the session of its client."""

    NONE = "nothing is written"
    OPENED = "a session is opened, or the one that is there begins anew"
    USED = "the session was used now"
    CLOSED = "the session was used now, and is CLOSING"

    def of(self, before: _abi.Session | None, last_ns: int) -> _abi.Session:
        """Return the session after a packet at `last_ns`."""
        if self is Trace.OPENED:
            return _abi.Session(last_ns, last_ns, SessionState.OPEN)
        assert before is not None
        state = SessionState.CLOSING if self is Trace.CLOSED else before.state
        return _abi.Session(before.opened_ns, last_ns, state)


def key_of(
    family: int,
    *,
    source: bytes | None = None,
    port: int = PORT,
    destination: str | None = None,
    source_port: int = p.SOURCE_PORT,
) -> _abi.SessionKey:
    """Return the key of the client's session, or of one that differs from it."""
    peer = _abi.GRANT_KEY.pack(source or client(family), p.TCP, port)
    return _abi.SessionKey(peer, p.packed(destination or SERVERS[family]), source_port)


class Books:
    """The sessions and how many there are, as they stand before a packet."""

    def __init__(self, loaded: Machine) -> None:
        """Read them."""
        self._loaded = loaded
        self._sessions, self._held, self._began_ns = loaded.sessions(), loaded.held(), now_ns()

    def check(self, trace: Trace, meant: _abi.SessionKey | None = None) -> None:
        """Want `trace` in the session that is meant (the client's, unless told), and nothing else changed."""
        now, held = self._loaded.sessions(), dict(self._held)
        changed = [
            key for key in now.keys() | self._sessions.keys() if now.get(key) != self._sessions.get(key)
        ]
        if trace is not Trace.NONE:
            (key,) = changed
            assert key in ((meant,) if meant else [key_of(family) for family in FAMILIES])
            assert now[key] == trace.of(self._sessions.get(key), now[key].last_ns)
            assert self._began_ns <= now[key].last_ns <= now_ns()
            if key not in self._sessions:
                held[key.peer] = held.get(key.peer, 0) + 1
        else:
            assert not changed
        assert self._loaded.held() == held


def tracking(window_ns: int = WINDOW_S * SECOND, flags: Flag = NO_FLAGS) -> State:
    """Return a state in which sessions are tracked."""

    def state(loaded: Machine) -> None:
        loaded.settings(flags, session_ns=window_ns)

    return state


def holding(count: int) -> State:
    """Return a state in which the clients are said to hold so many sessions."""

    def state(loaded: Machine) -> None:
        for family in FAMILIES:
            loaded.holds(key_of(family).peer, count)

    return state


def session(state: SessionState, age_s: float, *keys: _abi.SessionKey) -> State:
    """Return a state with a session that was last used so many seconds ago (default: the clients')."""

    def install(loaded: Machine) -> None:
        tracking()(loaded)
        last_ns = now_ns() - int(age_s * SECOND)
        for key in keys or tuple(key_of(family) for family in FAMILIES):
            loaded.session(key, _abi.Session(last_ns - SECOND, last_ns, state))
            loaded.holds(key.peer, 1)

    return install
