# SPDX-License-Identifier: MIT
"""What must hold between the values of several keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.config.settings import MAX_PREFIXES
from spale_core.model import Protocol, Service

if TYPE_CHECKING:
    from spale_core.config.draft import Draft


def judge_relations(draft: Draft) -> None:
    """Record every contradiction between keys."""
    _judge_spa_port(draft)
    _judge_rate(draft)
    _judge_always_allow(draft)


def _judge_spa_port(draft: Draft) -> None:
    port, services = draft.value("LISTEN_PORT"), draft.value("PROTECTED_PORTS")
    if port is None or services is None or Service(Protocol.UDP, port) not in services:
        return
    if Service(Protocol.TCP, port) in services:
        right = f"write {port}/tcp where TCP is meant, or choose another port for the knocks"
    else:
        right = "leave it out, or choose another port for the knocks"
    draft.add("LISTEN_PORT", f"{port}/udp is among the protected ports, so no knock would come in; {right}")


def _judge_rate(draft: Draft) -> None:
    rate, burst = draft.value("SPA_RL_RATE"), draft.value("SPA_RL_BURST")
    if rate and burst == 0:
        draft.add(
            "SPA_RL_BURST",
            f"0 with a rate of {rate} lets no knock in; write at least 1, or SPA_RL_RATE=0 for no limit",
        )


def _judge_always_allow(draft: Draft) -> None:
    count = len(draft.value("ALWAYS_ALLOW") or ())
    if count > MAX_PREFIXES:
        draft.add("ALWAYS_ALLOW", f"has {count} prefixes; at most {MAX_PREFIXES} fit, so join neighbours")
