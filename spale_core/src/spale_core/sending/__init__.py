# SPDX-License-Identifier: MIT
"""What `spale-send` does: profiles, knocks, waiting for a port to open, relaying. Runs on any system."""
