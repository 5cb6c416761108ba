# SPDX-License-Identifier: MIT
"""Where this repository is, and the folder of each distribution in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("bpf", "spale_core", "spale_crypto_hpke", "spale_tc", "spale_xdp")
