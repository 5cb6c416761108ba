# SPDX-License-Identifier: MIT
"""What a listener from before a reload still has to say: by which configuration it is meant, and judged."""

from __future__ import annotations

import pytest
from attrs import evolve
from office import ALICE, BOB, HERE, SETTINGS, THERE, Office

from spale_core.ipc import IpcError
from spale_core.log import Log
from spale_core.model import Reason
from spale_core.monitor.farewell import Farewells
from spale_core.monitor.ground import Ground
from spale_core.monitor.report import Reporter

CAROL = evolve(ALICE, name="carol", public_key=bytes([3] * 32))


class Leaver:
    """A supervisor whose listener has this and that to say, and then ends."""

    pid = 4711

    def __init__(self, status="exit status 0"):
        """End so."""
        self.status = status
        self.is_dismissed = self.is_ended = False

    def dismiss(self):
        """Tell that there is one."""
        self.is_dismissed = True
        return True

    def end(self):
        """Tell how it ended."""
        self.is_ended = True
        return self.status


class Past:
    """A generation that is no longer in force."""

    def __init__(self, settings, log, supervisor, *words):
        """Have `words` to say: claims, or an error."""
        self.settings = settings
        self.supervisor = supervisor
        self.reporter = Reporter(settings, log)
        self._words = list(words)

    def hear(self):
        """Say them."""
        word = self._words.pop(0) if self._words else IpcError("it has ended")
        if isinstance(word, IpcError):
            raise word
        return word


class Present:
    """The generation that is in force."""

    def __init__(self, settings):
        """Judge by `settings`."""
        self.settings = settings
        self.granted = []

    def judge(self, claims):
        """Judge."""
        self.granted += claims


class Stage:
    """Alice and Bob had keys; then the configuration changed."""

    def __init__(self, *words, status="exit status 0", **changes):
        """Let the listener of before have `words` to say, and `changes` hold now."""
        self.office = Office()
        self.lines = []
        log = Log(lambda _level, line: self.lines.append(line), self.office.clock)
        names = ("signals", "selector", "dataplane", "identity", "sockets", "started", "locks")
        unused = dict.fromkeys(names)
        ground = Ground(clock=self.office.clock, log=log, store=self.office.store, **unused)
        self.leaver = Leaver(status)
        self.farewells = Farewells(ground)
        self.farewells.begin(Past(SETTINGS, log, self.leaver, *words))
        self.present = Present(evolve(SETTINGS, **changes))

    def hear(self):
        """Hear it once more."""
        return self.farewells.hear(self.leaver, self.present)


def claims():
    """Return claims of Alice and of Bob."""
    office = Office()
    return [office.claim(HERE, client=0), office.claim(THERE, client=1)]


def test_clients_are_known_by_their_keys():
    """Their numbers have changed, and their names may have."""
    said = claims()
    stage = Stage(said, clients=(CAROL, evolve(BOB, name="robert"), ALICE))
    assert stage.hear()
    assert [claim.client for claim in stage.present.granted] == [2, 1]
    assert [evolve(claim, client=0) for claim in stage.present.granted] == [
        evolve(claim, client=0) for claim in said
    ]


@pytest.mark.parametrize("clients", [(ALICE,), (ALICE, evolve(BOB, auth="hpke-v1"))])
def test_a_client_that_is_gone_is_refused(clients):
    """By name; what it used counts as used, should its key come back."""
    said = claims()
    stage = Stage(said, clients=clients)
    stage.hear()
    assert [claim.client for claim in stage.present.granted] == [0]
    assert stage.lines == [f"refused reason=client_removed count=1 source={THERE} client=bob"]
    used = said[1]
    assert not stage.office.store.remember(BOB.public_key, used.enc, used.unix_ms, used.unix_ms)


def test_what_must_be_bound_by_now():
    """The earlier listener did not ask for it."""
    bound, unbound = claims()
    stage = Stage([bound, evolve(unbound, bound=False)], require_source_binding=True)
    stage.hear()
    assert [claim.source for claim in stage.present.granted] == [HERE]
    assert f"refused reason={Reason.UNBOUND.value} count=1 source={THERE} client=bob" in stage.lines


def test_it_ends_when_all_is_said():
    """Nothing is logged then; nobody hears of it any more."""
    stage = Stage(claims())
    assert stage.leaver.is_dismissed
    assert stage.hear()
    assert not stage.leaver.is_ended
    assert stage.hear()
    assert stage.leaver.is_ended
    assert not stage.hear()
    assert stage.lines == []


def test_one_that_was_taken_over_is_ended_at_once():
    """And it is said."""
    stage = Stage(IpcError("a message of type 9"), status="signal 9")
    stage.hear()
    assert stage.leaver.is_ended
    assert "process 4711: a message of type 9 (signal 9)" in stage.lines[0]


def test_the_late_are_killed():
    """Not before their time."""
    stage = Stage(status="signal 9")
    stage.farewells.end_the_late()
    assert not stage.leaver.is_ended
    stage.farewells._leaving = [evolve(each, deadline_s=0.0) for each in stage.farewells._leaving]
    stage.farewells.end_the_late()
    assert stage.leaver.is_ended
    assert "it did not end in time" in stage.lines[0]


def test_all_are_killed_at_the_end():
    """Of the monitor."""
    stage = Stage(claims())
    stage.farewells.close()
    assert stage.leaver.is_ended
