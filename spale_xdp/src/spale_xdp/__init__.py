# SPDX-License-Identifier: MIT
"""Enforcer at XDP."""
