# SPDX-License-Identifier: MIT
"""The configuration: file, environment and options become one `Settings`."""
