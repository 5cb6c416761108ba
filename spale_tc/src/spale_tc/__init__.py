# SPDX-License-Identifier: MIT
"""Enforcer at TC ingress."""
