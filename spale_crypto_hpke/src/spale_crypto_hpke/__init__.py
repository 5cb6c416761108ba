# SPDX-License-Identifier: MIT
"""HPKE sender authentication (RFC 9180)."""
