# SPDX-License-Identifier: MIT
"""One scene, played to the model and to others who see the same packets: every word must be the same."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

from machine import ETH_LENGTH
from packet_model import number
from players import DROPS, Player
from scenes import BEGIN_NS, IFINDEX, SECOND, Scene

from spale_bpf._abi import REASON_FIRST_DROP, Reason

if TYPE_CHECKING:
    from policy_model import Policy

TOO_LATE_NS = SECOND // 4
"""A kernel's clock runs on while a scene is played: after this much of it, windows may have ended."""


PATIENCE = 5
"""How often a scene that took too long is played before somebody is told."""


class DifferenceError(AssertionError):
    """Model and player do not agree."""


class Troupe:
    """Players who are given the same packets: all with an Ethernet header, or all without."""

    def __init__(self, players: list[Player], *, ethernet: bool) -> None:
        """Let `players` be compared with the model."""
        self.players = players
        self.ethernet = ethernet
        self.reasons: set[Reason] = set()
        """What the model has ever answered, so that a test can see that nothing is left out."""

    def play(self, scene: Scene) -> int:
        """Return how many packets were compared. Raise DifferenceError if anybody disagrees."""
        for _ in range(PATIENCE):
            begin_ns = time.monotonic_ns()
            try:
                return self._play(scene, copy.deepcopy(scene.policy))
            except DifferenceError:
                if time.monotonic_ns() - begin_ns < TOO_LATE_NS:
                    raise
        raise DifferenceError(f"they differ, but this machine was too slow {PATIENCE} times to be sure")

    def _play(self, scene: Scene, model: Policy) -> int:
        for player in self.players:
            player.install(scene.policy)
        counted = {player: {reason: player.dropped(reason)[0] for reason in DROPS} for player in self.players}
        now_ns, played = BEGIN_NS, 0
        for step in scene.steps:
            if isinstance(step, int):
                now_ns += step
                for player in self.players:
                    player.wait(step)
            elif all(player.builds(step) for player in self.players):
                played += 1
                self._compare(step, model, now_ns, counted)
        for player in self.players:
            self._compare_end(player, model, scene.policy, counted[player])
        return played

    def _compare(
        self, frame: bytes, model: Policy, now_ns: int, counted: dict[Player, dict[Reason, int]]
    ) -> None:
        data, ethertype = (frame, number(frame[12:14])) if self.ethernet else bare(frame)
        if self.ethernet:
            passes, reason = model.frame(frame, IFINDEX, now_ns)
        else:
            passes, reason = model.packet(ethertype, data, IFINDEX, now_ns)
        self.reasons.add(reason)
        for player in self.players:
            passed = player.run(ethertype, data)
            agreed = passed == passes
            if agreed and reason >= REASON_FIRST_DROP:
                counted[player][reason] += 1
                agreed = player.dropped(reason) == (counted[player][reason], model.dropped[reason][1])
            if not agreed:
                found = {why.name: player.dropped(why) for why in DROPS}
                raise DifferenceError(
                    f"{player.name} says {'PASS' if passed else 'DROP'}, the model {reason.name}"
                    f" (passes: {passes}) to {frame.hex()} at {now_ns - BEGIN_NS};"
                    f" counters {found}; model after it: {model}"
                )

    def _compare_end(self, player: Player, model: Policy, begun: Policy, counted: dict[Reason, int]) -> None:
        """Compare what a packet's reason does not show: by whose grant it passed, what else was counted."""
        found = {reason: player.dropped(reason)[0] for reason in DROPS}
        if found != counted:
            raise DifferenceError(f"{player.name} has counted {found}, the model {counted}")
        for key, grant in model.grants.items():
            late_ns = player.last_ns(key) - grant.last_ns
            moved = grant.last_ns != begun.grants[key].last_ns
            if not 0 <= late_ns <= moved * TOO_LATE_NS:
                raise DifferenceError(f"{player.name} has the last of {key} {late_ns} ns after {grant}")


def bare(frame: bytes) -> tuple[bytes, int]:
    """Return what is behind the Ethernet header and what BPF_PROG_TEST_RUN takes for its type."""
    data = frame[ETH_LENGTH:]
    return data, number(data[12:14])
