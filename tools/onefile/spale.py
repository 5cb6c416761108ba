# SPDX-License-Identifier: MIT
"""Where the one file starts; PyInstaller makes it of this, and of all that this imports."""

import sys

from spale_core.cli import onefile

sys.exit(onefile.main())
