# SPDX-License-Identifier: MIT
"""The management socket: how an administrator's commands and the daemon talk (docs/control.md)."""
