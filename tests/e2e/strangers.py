# SPDX-License-Identifier: MIT
"""People at the door whom nobody let in."""

from __future__ import annotations

import sys
from pathlib import Path

from house import OPEN_S

from spale_core.demo.poll import until
from spale_core.demo.processes import Background


class Pest:
    """A stranger who tries a UDP and a TCP service without a pause while the test does something else."""

    def __init__(self, house, guest):
        """Send him in."""
        self._guest = guest
        script = Path(__file__).with_name("pest.py")
        target = house.stage.server_addresses[guest.version]
        command = [sys.executable, str(script), str(guest), str(target)]
        log = house.folder / f"pest-{guest}.log"
        self._process = Background(house.stage.client, command, log)

    def __enter__(self):
        """Return him, once he is at work."""
        self._try_some()
        return self

    def __exit__(self, *_):
        """Stop him, once he has tried a few times more."""
        self._try_some()
        self._process.stop()

    def _try_some(self):
        enough = self._counts()[0] + 5
        assert until(lambda: self._counts()[0] >= enough, OPEN_S)

    def _counts(self):
        lines = self._process.log.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        return [int(word) for word in whole[-1].split()] if whole else [0, 0]

    @property
    def answers(self):
        """Return how often he got in."""
        return self._counts()[1]
