# SPDX-License-Identifier: MIT
"""The kinds of packets that the policy tells apart."""

from __future__ import annotations

import enum


class Packet(enum.Enum):
    """What a packet to a protected service is, by its TCP flags; one of UDP is NEW."""

    NEW = "SYN alone"
    END = "FIN or RST, no SYN"
    OTHER = "none of SYN, FIN and RST"
    ODD = "SYN with others"
