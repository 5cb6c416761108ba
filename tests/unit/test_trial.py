# SPDX-License-Identifier: MIT
"""A trial opens again unless it is confirmed, whatever ends it; a daemon that is none knows no trial."""

from __future__ import annotations

import signal

import pytest
from attrs import evolve
from paper_house import opened

from spale_core.config.settings import OnExit, Settings
from spale_core.errors import UsageError
from spale_core.log import Log
from spale_core.monitor.ending import by_signal
from spale_core.monitor.trial import Trial
from spale_core.testing import FakeClock

SETTINGS = Settings(interfaces=("eth0",), listen_port=1, services=frozenset(), server_keys=(), clients=())


class Bench:
    """A trial with its clock, and what it said."""

    def __init__(self, trial_s):
        """Begin."""
        self.clock = FakeClock()
        self.lines = []
        self.trial = Trial(trial_s, self.clock, Log(lambda _level, line: self.lines.append(line), self.clock))
        self.trial.begin()


def test_it_is_over_when_its_time_is():
    """And not before; once over, it says that nobody confirmed it."""
    bench = Bench(60)
    assert (bench.trial.left_s, bench.trial.is_on, bench.trial.is_over) == (60, True, False)
    assert bench.trial.until_unix_ms == bench.clock.unix_ms() + 60_000
    bench.clock.advance(59.9)
    assert (bench.trial.left_s, bench.trial.is_over) == (1, False)
    bench.clock.advance(0.1)
    assert bench.trial.is_over
    bench.trial.give_up()
    assert bench.lines == ["trial ended=unconfirmed"]


def test_a_wall_clock_that_is_set_does_not_matter():
    """Nobody is locked out for an hour by a time daemon."""
    bench = Bench(60)
    bench.clock.step(-3600)
    bench.clock.advance(60)
    assert bench.trial.is_over


def test_confirmed_is_for_good():
    """No more is waited for, and a second confirmation is told so."""
    bench = Bench(60)
    bench.trial.confirm()
    bench.clock.advance(100)
    assert (bench.trial.is_on, bench.trial.is_over, bench.trial.left_s) == (False, False, None)
    with pytest.raises(UsageError, match="confirmed already"):
        bench.trial.confirm()
    bench.trial.give_up()
    assert bench.lines == ["trial ended=confirmed"]


def test_no_trial():
    """Is never over, and cannot be confirmed."""
    bench = Bench(None)
    bench.clock.advance(10**6)
    assert (bench.trial.is_over, bench.trial.left_s, bench.trial.until_unix_ms) == (False, None, None)
    with pytest.raises(UsageError, match="started without --trial"):
        bench.trial.confirm()
    bench.trial.give_up()
    assert bench.lines == []


@pytest.mark.parametrize("on_exit", OnExit)
@pytest.mark.parametrize("on_trial", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_opens(number, on_exit, on_trial):
    """Ctrl-C, ON_EXIT=detach, and whatever ends a trial."""
    ending = by_signal(number, evolve(SETTINGS, on_exit=on_exit), on_trial=on_trial)
    assert ending.opens is (number is signal.SIGINT or on_exit is OnExit.DETACH or on_trial)
    assert (ending.cause, ending.exit_code) == (number.name, 0)


@pytest.mark.kernel
def test_sigterm_ends_a_trial(tmp_path):
    """Whoever locked themselves out can have the machine stopped by others, and is in again."""
    with opened(tmp_path) as house:
        house.start("trial_s=1000")
        assert "trial_until=" in house.line("ready ")
        assert house.stop(signal.SIGTERM) == 0
        assert "detach" in house.names()
        assert house.lines()[-3:] == [
            "trial ended=unconfirmed",
            "detach interface=lo",
            "exit cause=SIGTERM attached=no",
        ]
