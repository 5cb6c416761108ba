# SPDX-License-Identifier: MIT
"""The kernel programs' ABI, objects and loader."""
