# SPDX-License-Identifier: MIT
"""One scene, played to the model and to others who see the same packets: every word must be the same.

After each packet the verdict, the reason's counter, and the grant, session and count that it could touch are
compared; before each pause and at the end all of them, so that nothing else was touched.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from machine import ETH_LENGTH, SECOND
from packet_model import number
from players import COUNTED, Player
from scenes import BEGIN_NS, IFINDEX, Knock, Scene, Settings

from spale_bpf._abi import REASON_FIRST_COUNTED, Reason

if TYPE_CHECKING:
    from policy_model import Four, Grant, Pair, Session

TOO_LATE_NS = 2 * SECOND
"""A kernel's clock runs on while a scene is played: after this much of it, windows may have ended."""

PATIENCE = 5
"""How often a scene that took too long is played before somebody is told."""


class DifferenceError(AssertionError):
    """Model and player do not agree."""


class Stage:
    """One performance: the model, the scene's clock, and what all have counted."""

    def __init__(self, scene: Scene, players: list[Player]) -> None:
        """Begin a scene."""
        self.model = copy.deepcopy(scene.policy)
        self.given, self.opened = dict(scene.policy.grants), scene.policy.sessions
        self.players = players
        self.now_ns = BEGIN_NS
        for player in players:
            player.install(scene.policy)
        self.counted = {player: {why: player.counted(why)[0] for why in COUNTED} for player in players}

    def knock(self, knock: Knock) -> None:
        """Install a grant."""
        self.model.grants[knock.pair], self.given[knock.pair] = replace(knock.grant), knock.grant
        for player in self.players:
            player.knock(*knock)

    def change(self, settings: Settings) -> None:
        """Write other settings."""
        self.model.log_only, self.model.session_ns = settings
        for player in self.players:
            player.settings(self.model)

    def wait(self, pause_ns: int) -> None:
        """Let time go by."""
        self.compare_all()
        self.now_ns += pause_ns
        for player in self.players:
            player.wait(pause_ns)

    def packet(self, player: Player, data: bytes, ethertype: int, said: tuple[bool, Reason]) -> None:
        """Show a packet that the model has judged, and compare."""
        passes, reason = said
        if player.run(ethertype, data) != passes:
            self._fail(player, f"the model says {reason.name} (passes: {passes}) to {data.hex()}")
        if reason >= REASON_FIRST_COUNTED:
            self.counted[player][reason] += 1
            if player.counted(reason) != (self.counted[player][reason], self.model.counted[reason][1]):
                self._fail(player, f"it has not counted {reason.name} for {data.hex()}")
        if self.model.met:
            key, cell = self.model.met
            self._compare_grant(player, key[0], player.grant(key[0]))
            self._compare_session(player, key, player.session(key))
            if player.count(key[0]) != self.model.counts.get(key[0]):
                self._fail(
                    player, f"it counts {player.count(key[0])} for {key[0]} after {data.hex()}, {cell}"
                )

    def compare_all(self) -> None:
        """Compare what no packet should have touched, too."""
        for player in self.players:
            grants, sessions, counts = player.books()
            for pair in self.model.grants.keys() | grants.keys():
                self._compare_grant(player, pair, grants.get(pair))
            for key in self.model.sessions.keys() | sessions.keys():
                self._compare_session(player, key, sessions.get(key))
            if counts != self.model.counts:
                self._fail(player, f"it counts {counts}")
            found = {reason: player.counted(reason)[0] for reason in COUNTED}
            if found != self.counted[player]:
                self._fail(player, f"has counted {found}, it should be {self.counted[player]}")

    def _compare_grant(self, player: Player, pair: Pair, found: Grant | None) -> None:
        wanted = self.model.grants.get(pair)
        if wanted is None or found is None:
            agreed = wanted is found
        else:
            agreed = _is_moved(player, found.last_ns, wanted.last_ns, self.given[pair].last_ns)
        if not agreed:
            self._fail(player, f"it has {found}, not {wanted}, for {pair}")

    def _compare_session(self, player: Player, key: Four, found: Session | None) -> None:
        wanted, begun = self.model.sessions.get(key), self.opened.get(key)
        if wanted is None or found is None:
            agreed = wanted is found
        else:
            opened_ns, last_ns = (begun.opened_ns, begun.last_ns) if begun else (None, None)
            agreed = found.state == wanted.state
            agreed &= _is_moved(player, found.opened_ns, wanted.opened_ns, opened_ns)
            agreed &= _is_moved(player, found.last_ns, wanted.last_ns, last_ns)
        if not agreed:
            self._fail(player, f"it has {found}, not {wanted}, for {key}")

    def _fail(self, player: Player, what: str) -> None:
        found = {why.name: player.counted(why) for why in COUNTED}
        raise DifferenceError(
            f"{player.name} at {self.now_ns - BEGIN_NS} ns (it began at {player.begin_ns}): {what};"
            f" counters {found}; the model is {self.model}"
        )


def _is_moved(player: Player, found_ns: int, wanted_ns: int, begun_ns: int | None) -> bool:
    """Compare a time; what was written meanwhile is as late as that clock has run on."""
    late_ns = found_ns - player.moved(wanted_ns)
    return 0 <= late_ns <= (player.lateness_ns if wanted_ns != begun_ns else 0)


class Troupe:
    """Players who are given the same packets: all with an Ethernet header, or all without."""

    def __init__(self, players: list[Player], *, ethernet: bool) -> None:
        """Let `players` be compared with the model."""
        self.players = players
        self.ethernet = ethernet
        self.reasons: set[Reason] = set()
        self.cells: set[tuple[str, str, str]] = set()
        """What the model has ever answered, and where it has looked, so that a test sees what is left out."""

    def play(self, scene: Scene) -> int:
        """Return how many packets were compared. Raise DifferenceError if anybody disagrees."""
        for _ in range(PATIENCE):
            begin_ns = time.monotonic_ns()
            try:
                return self._play(scene)
            except DifferenceError:
                if time.monotonic_ns() - begin_ns < TOO_LATE_NS:
                    raise
        raise DifferenceError(f"they differ, but this machine was too slow {PATIENCE} times to be sure")

    def _play(self, scene: Scene) -> int:
        stage, played = Stage(scene, self.players), 0
        for step in scene.steps:
            if isinstance(step, int):
                stage.wait(step)
            elif isinstance(step, Knock):
                stage.knock(step)
            elif isinstance(step, Settings):
                stage.change(step)
            elif all(player.builds(step) for player in self.players):
                played += 1
                self._show(stage, step)
        stage.compare_all()
        return played

    def _show(self, stage: Stage, frame: bytes) -> None:
        stage.model.met = None
        if self.ethernet:
            data, ethertype = frame, number(frame[12:14])
            said = stage.model.frame(frame, IFINDEX, stage.now_ns)
        else:
            data, ethertype = bare(frame)
            said = stage.model.packet(ethertype, data, IFINDEX, stage.now_ns)
        self.reasons.add(said[1])
        if stage.model.met:
            self.cells.add(stage.model.met[1])
        for player in self.players:
            stage.packet(player, data, ethertype, said)


def bare(frame: bytes) -> tuple[bytes, int]:
    """Return what is behind the Ethernet header and what BPF_PROG_TEST_RUN takes for its type."""
    data = frame[ETH_LENGTH:]
    return data, number(data[12:14])
