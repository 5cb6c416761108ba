# SPDX-License-Identifier: MIT
"""The store that survives: restarts, crashes, reboots, suspends, and clocks that are stepped."""

from __future__ import annotations

import stat
from contextlib import suppress

import pytest
from attrs import evolve
from store_lab import HERE, KEY, LINK_LOCAL, OTHER_KEY, SSH, THERE, FakeHost, Lab, S, enc

from spale_core.model import NEVER_NS
from spale_core.stores.hosttime import HostTime, Reading


@pytest.fixture
def lab(tmp_path):
    """Return a lab."""
    return Lab(tmp_path / "state", tmp_path / "run")


@pytest.fixture(params=["closed", "killed"])
def ended(lab, request):
    """Return what opens a store that ends in one of two ways."""
    return lab.opened if request.param == "closed" else lab.killed


def test_nobody_else_can_read_it(lab):
    """Folder 0700, files 0600, whatever the umask."""
    with lab.opened() as store:
        lab.hold(store)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in lab.folder.iterdir()}
        assert modes == {"spale.db": 0o600, "spale.db-journal": 0o600}
        assert stat.S_IMODE(lab.folder.stat().st_mode) == 0o700


def test_a_restart_loses_nothing(lab, ended):
    """In the same boot grants come back exactly, after SIGKILL too."""
    with ended() as store:
        held = [
            lab.hold(store),
            lab.hold(store, "bob", THERE, idle_ns=NEVER_NS, grace_ns=NEVER_NS, end_ns=NEVER_NS),
            lab.hold(store, "bob", LINK_LOCAL),
        ]
        assert lab.use(store, 1)
    lab.host.clock.advance(20)
    with lab.opened() as store:
        assert (store.memory_lost, sorted(store.live(), key=str)) == (False, sorted(held, key=str))
        assert not lab.use(store, 1, late_s=20)
        assert list(store.identities()) == [enc(1)]


def test_what_was_deleted_stays_so(lab, ended):
    """And what was replaced has its latest form."""
    with ended() as store:
        gone, first = lab.hold(store), lab.hold(store, "bob")
        later = evolve(first, grant=evolve(first.grant, last_ns=first.grant.last_ns + S))
        with store.transaction():
            store.delete("alice", gone.grant.source, SSH)
            store.put(later)
    with lab.opened() as store:
        assert list(store.live()) == [later]


def test_a_step_of_the_clock_moves_no_grant(lab, ended):
    """Neither an hour forward nor back changes what is left after a restart in the same boot."""
    with ended() as store:
        holding = lab.hold(store)
    for step_s in (3600, -7200):
        lab.host.clock.step(step_s)
        with lab.opened() as store:
            assert list(store.live()) == [holding]


@pytest.mark.parametrize("running", [True, False])
def test_a_suspend_ages_grants(lab, running):
    """Whether a daemon ran meanwhile or not, it counts as silence at the next start."""
    with lab.killed() as store:
        holding = lab.hold(store)
        if running:
            lab.host.suspend(40)
            lab.hold(store, "bob", THERE)
    if not running:
        lab.host.suspend(40)
    with lab.opened() as store:
        ages = {h.client: (lab.host.clock.monotonic_ns() - h.grant.last_ns) // S for h in store.live()}
        ends = {h.client: h.grant.end_ns for h in store.live()}
    assert ages == ({"alice": 40, "bob": 0} if running else {"alice": 40})
    assert ends["alice"] == holding.grant.end_ns - 40 * S


def test_a_reboot_counts_as_silence(lab):
    """After a clean end the wall clock says what is left; a link-local source is nobody's any more."""
    with lab.opened() as store:
        lab.hold(store)
        lab.hold(store, source=LINK_LOCAL)
        lab.hold(store, "bob", THERE, end_ns=NEVER_NS)
        lab.host.clock.advance(7)
    lab.host.reboot(30, up=3)
    with lab.opened() as store:
        left = {h.client: h.grant for h in store.live()}
        assert not store.memory_lost
    now_ns = lab.host.clock.monotonic_ns()
    assert {client: now_ns - grant.last_ns for client, grant in left.items()} == {
        "alice": 40 * S,
        "bob": 40 * S,
    }
    assert left["alice"].end_ns == now_ns + 3560 * S
    assert (left["bob"].end_ns, left["alice"].idle_ns) == (NEVER_NS, 60 * S)
    assert left["alice"].last_ns < 0


def test_after_a_reboot_all_is_of_this_boot(lab):
    """A restart that follows the reboot finds the same again, exactly."""
    with lab.opened() as store:
        lab.hold(store)
    lab.host.reboot(10)
    with lab.killed() as store:
        left = list(store.live())
    lab.host.clock.advance(5)
    with lab.opened() as store:
        assert (store.memory_lost, list(store.live())) == (False, left)


@pytest.mark.parametrize("seconds", [0, 5, 300])
def test_after_a_crash_of_the_machine_the_memory_is_lost(lab, seconds):
    """Another boot without a clean close: marks, datagrams and grants are kept as far as they are known."""
    with lab.killed() as store:
        lab.hold(store)
        assert lab.use(store, 1)
    lab.host.reboot(seconds)
    with lab.opened() as store:
        assert (store.memory_lost, store.lost_unix_ms) == (True, lab.host.clock.unix_ms())
        assert not lab.use(store, 1, late_s=seconds + 1)
        assert len(list(store.live())) == 1
    assert "was not closed before the machine stopped" in lab.said[-1]


def test_a_clock_that_went_back_over_a_reboot_ends_all_grants(lab):
    """Nobody knows then how long they were silent."""
    with lab.opened() as store:
        lab.hold(store)
    lab.host.reboot(0)
    lab.host.clock.step(-3600)
    with lab.opened() as store:
        assert list(store.live()) == []
    with lab.opened() as store:
        assert list(store.live()) == []


def test_a_clock_that_goes_wrong_while_it_runs(lab):
    """The latest reading counts: while something is held, every transaction writes it."""
    with lab.killed() as store:
        lab.hold(store)
        lab.host.clock.step(-100_000)
        with store.transaction():
            pass
    lab.host.reboot(10)
    with lab.opened() as store:
        (holding,) = store.live()
    assert (lab.host.clock.monotonic_ns() - holding.grant.last_ns) // S == 11


def test_an_empty_store_is_left_alone(lab):
    """While nothing is held and nothing happens, nothing is written: disks may sleep."""
    with lab.opened() as store:
        before = lab.path.stat().st_mtime_ns
        for _ in range(3):
            lab.host.clock.advance(5)
            with store.transaction():
                pass
        assert lab.path.stat().st_mtime_ns == before


def test_a_loss_is_not_forgotten_by_a_restart(lab):
    """Who starts twice within half a minute must not be let in with what was used before the first start."""
    with lab.opened() as store:
        assert store.memory_lost
        lost_ms = store.lost_unix_ms
    assert lost_ms == lab.host.clock.unix_ms()
    for _ in range(2):
        lab.host.clock.advance(5)
        with lab.killed() as store:
            assert (store.memory_lost, store.lost_unix_ms) == (False, lost_ms)


def test_a_clock_an_hour_back_opens_nothing(lab, ended):
    """What was forgotten raised the mark, and the mark is in the file."""
    with ended() as store:
        assert lab.use(store, 1)
        lab.host.clock.advance(3600)
        assert lab.use(store, 2)
        assert list(store.identities()) == [enc(2)]
    lab.host.clock.step(-3600)
    with ended() as store:
        assert not lab.use(store, 1)
        assert not lab.use(store, 3)
        assert lab.use(store, 1, OTHER_KEY)


def test_a_larger_window_opens_nothing(lab, ended):
    """MAX_SKEW_SEC raised: what was forgotten under the smaller one stays refused."""
    with ended() as store:
        assert lab.use(store, 1)
        lab.host.clock.advance(31)
        assert lab.use(store, 2)
    lab.max_skew_s = 120
    with lab.opened() as store:
        assert not lab.use(store, 1, late_s=31)
        assert not lab.use(store, 2)
        assert not lab.use(store, 3, late_s=31)


def test_a_key_that_was_away_is_remembered(lab, ended):
    """The store knows keys, not clients: whoever is removed and added again keeps his memory."""
    with ended() as store:
        assert lab.use(store, 1)
    for number in (1, 2):
        with ended() as store:
            assert lab.use(store, number, OTHER_KEY)
    with lab.opened() as store:
        assert not lab.use(store, 1)


def test_a_datagram_from_far_ahead(lab, ended):
    """Any 64 bits of time are kept, and do not break the file."""
    with ended() as store:
        for number, unix_ms in enumerate((2**64 - 1, 2**63, 2**63 - 1)):
            with store.transaction():
                assert store.remember(KEY, enc(number), unix_ms, lab.host.clock.unix_ms())
    with lab.opened() as store, store.transaction():
        for number, unix_ms in enumerate((2**64 - 1, 2**63, 2**63 - 1)):
            assert not store.remember(KEY, enc(number), unix_ms, unix_ms)


def test_many_datagrams_leave_a_small_file(lab):
    """What is forgotten leaves the file too."""
    with lab.killed() as store:
        for number in range(1500):
            with store.transaction():
                store.remember(KEY, enc(number), lab.host.clock.unix_ms() + number, lab.host.clock.unix_ms())
        known = set(store.identities())
    with lab.opened() as store:
        assert set(store.identities()) == known
        assert len(known) == 1024
        assert not any(lab.use(store, number, late_s=-number / 1000) for number in range(0, 1500, 100))


def test_a_transaction_that_fails_keeps_datagrams(lab):
    """What was used stays used, and no holding changes, in the file too."""
    with lab.killed() as store:
        holding = lab.hold(store)
        now_ms = lab.host.clock.unix_ms()
        with suppress(ZeroDivisionError), store.transaction():
            store.delete("alice", HERE, SSH)
            store.put(evolve(holding, client="bob"))
            store.remember(KEY, enc(1), now_ms, now_ms)
            raise ZeroDivisionError
        assert list(store.live()) == [holding]
        with store.transaction():
            pass
    with lab.opened() as store:
        assert list(store.live()) == [holding]
        assert not lab.use(store, 1)


def test_the_hosts_own_clocks():
    """One boot has one name; suspended time is what CLOCK_BOOTTIME has more, jitter apart."""
    host = HostTime()
    assert host.boot_id() == host.boot_id()
    first, second = host.read(), host.read()
    assert first.monotonic_ns < second.monotonic_ns
    assert second.suspended_ns(first.suspended_ns(0)) == first.suspended_ns(0)
    assert Reading(0, 5 * S, 0).suspended_ns(0) == 5 * S
    assert FakeHost().read().suspended_ns(0) == 0
