# SPDX-License-Identifier: MIT
"""Sessions over time: to the nanosecond in user space, and what the kernel does when there is no room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packets as p
import pytest
import table
from books import PORT, key_of, tracking
from machine import NEVER, SECOND, Entry, Machine, client, now_ns
from native_machine import Native
from packets import ACK, FIN, RST, SYN
from rig import Rig
from table import FAMILIES

from spale_bpf import _abi
from spale_bpf._abi import CLOSING_S, SESSIONS_PER_PAIR, Reason, SessionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_bpf import libbpf

OPEN, CLOSING = SessionState.OPEN, SessionState.CLOSING
T = 1_000_000
"""When the SYN passed, in nanoseconds."""

WINDOW = 1000 * SECOND
CLOSING_NS = CLOSING_S * SECOND
PASSED: tuple[Reason, ...] = ()


class Story:
    """A client's packets one after the other, at moments that the test chooses."""

    def __init__(self, *, window_ns: int = WINDOW) -> None:
        """Begin without grant and session."""
        self.native = Native()
        table.prepare(self.native)
        tracking(window_ns)(self.native)

    def grant(self, last_ns: int = T, idle_ns: int = 10, grace_ns: int = 20) -> None:
        """Knock."""
        self.native.grant(client(4), p.TCP, PORT, _abi.Grant(last_ns, idle_ns, grace_ns, NEVER))

    def session(self, state: SessionState, last_ns: int = T) -> None:
        """Install a session that was opened at 1."""
        self.native.session(key_of(4), _abi.Session(1, last_ns, state))

    def at(self, moment_ns: int, flags: int, source_port: int = p.SOURCE_PORT) -> tuple[Reason, ...]:
        """Send a TCP packet; return the reasons that were counted."""
        self.native.clock_ns = moment_ns
        segment = p.tcp(PORT, flags, source_port=source_port)
        outcome = self.native.run(table.frame(4, segment, p.TCP))
        assert outcome.passed == all(reason < _abi.REASON_FIRST_DROP for reason in outcome.counted)
        return tuple(outcome.counted)

    @property
    def left(self) -> _abi.Session | None:
        """The client's session."""
        return self.native.sessions().get(key_of(4))

    @property
    def last_ns(self) -> int:
        """The grant's `last`."""
        granted = self.native.granted(client(4), p.TCP, PORT)
        assert granted is not None
        return granted.last_ns


@pytest.mark.parametrize("flags", [ACK, FIN | ACK, RST])
@pytest.mark.parametrize(("state", "window_ns"), [(OPEN, WINDOW), (CLOSING, CLOSING_NS)])
@pytest.mark.parametrize(
    ("grace_ns", "reason"), [(None, Reason.NO_GRANT), (1, Reason.GRANT_DEAD), (NEVER, Reason.GRANT_GRACE)]
)
def test_windows_end_to_the_nanosecond(
    state: SessionState, window_ns: int, flags: int, grace_ns: int | None, reason: Reason
) -> None:
    """A session lets in while its age is at most its window; after that the grant says why not."""
    for age_ns, counted in ((0, PASSED), (window_ns, PASSED), (window_ns + 1, (reason,))):
        story = Story()
        story.session(state)
        if grace_ns is not None:
            story.grant(0, 1, grace_ns)
        assert story.at(T + age_ns, flags) == counted
        if counted:
            assert story.left == (1, T, state)
        else:
            assert story.left == (1, T + age_ns, CLOSING if flags != ACK else state)


def test_endless_sessions_outlive_the_clock() -> None:
    """A window of -1 holds at the last nanosecond."""
    story = Story(window_ns=NEVER)
    story.session(OPEN, 0)
    assert story.at(NEVER, ACK) == PASSED


def test_a_session_lives_on_without_its_grant() -> None:
    """From SYN to last ACK: who writes what, and when it is over."""
    story = Story()
    story.grant()
    assert story.at(T, SYN) == PASSED
    assert story.left == (T, T, OPEN)
    assert story.at(T + 5, ACK) == PASSED
    assert (story.left, story.last_ns) == ((T, T, OPEN), T + 5)
    assert story.at(T + 100, ACK) == PASSED
    assert (story.left, story.last_ns) == ((T, T + 100, OPEN), T + 5)
    assert story.at(T + 101, SYN) == (Reason.GRANT_DEAD,)
    assert story.left == (T, T + 100, OPEN)
    silent_ns = T + 100 + WINDOW
    assert story.at(silent_ns, RST) == PASSED
    assert story.left == (T, silent_ns, CLOSING)
    assert story.at(silent_ns + CLOSING_NS, ACK) == PASSED
    assert story.at(silent_ns + 2 * CLOSING_NS, FIN | ACK) == PASSED
    assert story.left == (T, silent_ns + 2 * CLOSING_NS, CLOSING)
    assert story.at(silent_ns + 3 * CLOSING_NS + 1, ACK) == (Reason.GRANT_DEAD,)
    assert story.last_ns == T + 5
    again_ns = silent_ns + 4 * CLOSING_NS
    story.grant(again_ns)
    assert story.at(again_ns + 1, SYN) == PASSED
    assert story.left == (again_ns + 1, again_ns + 1, OPEN)


def test_a_session_under_grace_begins_with_a_syn_only() -> None:
    """In GRACE a session lets its packets in and leaves the grant as it is; a SYN revives the grant."""
    story = Story()
    story.grant()
    assert story.at(T + 11, ACK) == (Reason.GRANT_GRACE,)
    story.session(OPEN)
    assert story.at(T + 11, ACK) == PASSED
    assert story.last_ns == T
    assert story.at(T + 20, SYN) == PASSED
    assert (story.left, story.last_ns) == ((T + 20, T + 20, OPEN), T + 20)


def test_a_clock_that_is_behind_takes_nothing_back() -> None:
    """Another CPU, or the sweep, may have read its clock later: `last` moves forwards only."""
    story = Story()
    story.session(OPEN, T + 5)
    assert story.at(T, ACK) == PASSED
    assert story.left == (1, T + 5, OPEN)


def opened(loaded: Machine, ports: range) -> list[tuple[Reason, ...]]:
    """Send a SYN from each source port; return the reasons that were counted."""
    counted = []
    for port in ports:
        outcome = loaded.run(table.frame(4, p.tcp(PORT, SYN, source_port=port), p.TCP))
        assert outcome.passed
        counted.append(tuple(outcome.counted))
    return counted


@pytest.fixture(params=list(Entry), ids=lambda entry: entry.name.lower())
def entry(request: pytest.FixtureRequest) -> Entry:
    """Return each program in turn."""
    made: Entry = request.param
    return made


def ready(loaded: Machine) -> None:
    """Track sessions, with a LIVE grant for the clients."""
    table.prepare(loaded)
    tracking()(loaded)
    table.granted(p.TCP, PORT, table.live)(loaded)


@pytest.fixture
def machine(entry: Entry) -> Iterator[Rig]:
    """Return a program that tracks, with a LIVE grant for the clients."""
    with Rig(entry) as made:
        ready(made)
        yield made


@pytest.mark.kernel
def test_sixty_four_are_tracked(machine: Rig) -> None:
    """A source and service have 64 sessions; further SYNs pass and are counted, of another source are not."""
    assert opened(machine, range(1, 68)) == [PASSED] * SESSIONS_PER_PAIR + [(Reason.UNTRACKED,)] * 3
    assert len(machine.sessions()) == SESSIONS_PER_PAIR
    assert machine.held() == {key_of(4).peer: SESSIONS_PER_PAIR}
    assert opened(machine, range(1, 10)) == [PASSED] * 9  # known four-tuples begin anew
    machine.holds(key_of(4).peer, SESSIONS_PER_PAIR - 1)  # the sweep has ended one
    assert opened(machine, range(100, 102)) == [PASSED, (Reason.UNTRACKED,)]
    six = table.frame(6, p.tcp(PORT, SYN), p.TCP)
    assert machine.run(six) == (True, {})
    assert machine.held() == {key_of(4).peer: SESSIONS_PER_PAIR, key_of(6).peer: 1}


class Crowded(Rig):
    """A program with room for two sessions."""

    def alter(self, loading: libbpf.Object) -> None:
        """Make the map small."""
        loading.set_max_entries("spale_sessions", 2)


class Uncounted(Rig):
    """A program that can count the sessions of one source and service only."""

    def alter(self, loading: libbpf.Object) -> None:
        """Make the map small."""
        loading.set_max_entries("spale_session_counts", 1)


@pytest.mark.kernel
def test_a_full_map_refuses_nobody(entry: Entry) -> None:
    """Without room for its session a SYN passes by its grant, is counted, and is not counted as held."""
    with Crowded(entry) as loaded:
        ready(loaded)
        assert opened(loaded, range(1, 5)) == [PASSED, PASSED, (Reason.UNTRACKED,), (Reason.UNTRACKED,)]
        assert len(loaded.sessions()) == 2
        assert loaded.held() == {key_of(4).peer: 2}
        assert opened(loaded, range(1, 3)) == [PASSED, PASSED]


@pytest.mark.kernel
def test_what_cannot_be_counted_is_not_tracked(entry: Entry) -> None:
    """Without room to count them no session is opened: the limit holds in any case."""
    with Uncounted(entry) as loaded:
        ready(loaded)
        loaded.holds(key_of(6).peer, 0)
        assert opened(loaded, range(1, 3)) == [(Reason.UNTRACKED,)] * 2
        assert loaded.sessions() == {}
        assert loaded.run(table.frame(6, p.tcp(PORT, SYN), p.TCP)) == (True, {})
        assert list(loaded.sessions()) == [key_of(6)]


@pytest.mark.kernel
@pytest.mark.parametrize("family", FAMILIES)
def test_a_session_lives_on_in_the_kernel(machine: Rig, family: int) -> None:
    """What a SYN opened lets data in after the grant is gone, a RST changes little, a SYN is refused."""
    began_ns = now_ns()
    frames = {flags: table.frame(family, p.tcp(PORT, flags), p.TCP) for flags in (SYN, ACK, RST)}
    assert machine.run(frames[SYN]) == (True, {})
    assert machine.run(frames[ACK]) == (True, {})
    table.granted(p.TCP, PORT, table.dead)(machine)
    assert machine.run(frames[SYN]) == (False, {Reason.GRANT_DEAD: client(family)})
    for flags, state in ((ACK, OPEN), (RST, CLOSING), (ACK, CLOSING)):
        assert machine.run(frames[flags]) == (True, {})
        left = machine.sessions()[key_of(family)]
        assert left.state == state
        assert began_ns <= left.opened_ns < left.last_ns
