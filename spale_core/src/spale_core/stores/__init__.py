# SPDX-License-Identifier: MIT
"""Grant stores that come with the core."""
