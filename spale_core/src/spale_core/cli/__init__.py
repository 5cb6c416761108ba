# SPDX-License-Identifier: MIT
"""The three commands."""
