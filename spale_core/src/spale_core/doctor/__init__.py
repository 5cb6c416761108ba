# SPDX-License-Identifier: MIT
"""What this host allows: privileges, kernel, clock, packages, and what each dataplane finds.

Nothing is changed on the host; each finding has the command that mends it.
"""
