# SPDX-License-Identifier: MIT
"""The objects with the clock of the last tick judge as the base ones do, whatever was written in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import elf
import packets as p
import pytest
import rig
import rows_grants
import rows_sessions
import rows_spa
import rows_v1
import table
from books import PORT, key_of, tracking
from coarse import CoarseRig, PatientRig, coarse_ns
from lab import settings
from machine import NEVER, SECOND, Entry, client, now_ns

from spale_bpf import _abi, libbpf
from spale_bpf._abi import SessionState
from spale_bpf.dataplane import open_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


GET_NS, GET_COARSE_NS = 5, 160
TRIES = 100

ROWS = {
    "grants": (PatientRig, Entry.TC_ETH, rows_grants.ROWS),
    "sessions": (PatientRig, Entry.XDP, rows_sessions.ROWS),
    "SPA port": (CoarseRig, Entry.TC_ETH, rows_spa.ROWS + rows_v1.ROWS),
}
"""What the clock matters to, and what it must not: once each, and of one family, for ticks take time."""


def helpers(name: str) -> list[set[int]]:
    """Return the helpers that each program of an object calls."""
    rig.build()
    functions = elf.Object((rig.OBJECTS / f"{name}.bpf.o").read_bytes()).functions()
    return [{each.immediate for each in code if each.opcode == elf.CALL} for code in functions.values()]


@pytest.mark.parametrize("base", rig.BASE_FILES)
def test_the_clock_is_the_only_difference(base: str) -> None:
    """A coarse object calls that clock besides what its base calls: the SPA port keeps the exact one."""
    assert [each | {GET_COARSE_NS} for each in helpers(base)] == helpers(f"{base}_coarse")
    assert all(GET_NS in each for each in helpers(base))


@pytest.mark.parametrize("base", rig.BASE_FILES)
def test_length(base: str) -> None:
    """A coarse object is as long as its base, but for a few instructions."""
    lengths = [
        [len(code) for code in elf.Object((rig.OBJECTS / f"{name}.bpf.o").read_bytes()).functions().values()]
        for name in (base, f"{base}_coarse")
    ]
    assert all(coarse - exact < 20 for exact, coarse in zip(*lengths, strict=True))


@pytest.mark.kernel
@pytest.mark.parametrize(("has_clock", "suffix"), [(lambda: True, "_coarse"), (lambda: False, "")])
def test_the_loader_takes_what_the_kernel_can(has_clock: Callable[[], bool], suffix: str) -> None:
    """Where the kernel has the clock the coarse object is opened, else the base one."""
    with open_object("spale_tc", settings(), has_clock) as opened:
        assert opened.name == f"spale_tc{suffix}"


@pytest.fixture
def _has_clock() -> None:
    if not libbpf.coarse_clock_supported():
        pytest.skip("bpf_ktime_get_coarse_ns is new in Linux 5.11")


@pytest.mark.kernel
@pytest.mark.usefixtures("_has_clock")
@pytest.mark.parametrize("about", ROWS)
def test_rows_of_the_packet_table(about: str) -> None:
    """Packets about grants, sessions and the SPA port meet the verdict and the reason of their rows."""
    made, entry, rows = ROWS[about]
    with made(entry) as loaded:
        for row in rows:
            if "ipv6" not in row.name and entry in row.how and loaded.builds(row.frame):
                table.check(row, loaded)


@pytest.fixture(params=list(Entry), ids=lambda entry: entry.name.lower())
def hasty(request: pytest.FixtureRequest, _has_clock: None) -> Iterator[CoarseRig]:
    """Return each coarse program in turn; it does not wait for a tick."""
    with CoarseRig(request.param) as made:
        table.prepare(made)
        tracking()(made)
        yield made


@pytest.mark.kernel
def test_a_grant_lets_in_at_once(hasty: CoarseRig) -> None:
    """A SYN right behind the knock passes; neither `last` nor the session is older than the knock.

    The session's owner is whoever held the grant when it was opened (docs/adr/0076).
    """
    syn, early = table.frame(4, p.tcp(PORT, p.SYN), p.TCP), 0
    for _ in range(TRIES):
        knock_ns = now_ns()
        hasty.grant(client(4), p.TCP, PORT, _abi.Grant(knock_ns, SECOND, SECOND, NEVER))
        early += coarse_ns() < knock_ns
        assert hasty.run(syn) == (True, {})
        session, grant = hasty.sessions()[key_of(4)], hasty.granted(client(4), p.TCP, PORT)
        assert grant is not None
        assert knock_ns <= session.opened_ns == session.last_ns == grant.last_ns <= now_ns()
    assert early, "every knock fell on a tick"


@pytest.mark.kernel
def test_a_session_written_at_this_moment_lets_in(hasty: CoarseRig) -> None:
    """A session that a sweep has just renewed is not used backwards in time."""
    data = table.frame(4, p.tcp(PORT, p.ACK), p.TCP)
    for _ in range(TRIES):
        written_ns = now_ns()
        hasty.session(key_of(4), _abi.Session(1, written_ns, SessionState.OPEN))
        assert hasty.run(data) == (True, {})
        assert written_ns <= hasty.sessions()[key_of(4)].last_ns <= now_ns()
