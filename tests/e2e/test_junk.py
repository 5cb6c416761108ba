# SPDX-License-Identifier: MIT
"""Junk cannot shut anybody out: ten of ten knocks open, and the daemon hardly notices.

Short here; `nox -s load` sets SPALE_SIEGE_S, and then every siege is that long with every enforcer.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter

import pytest
from junk import KNOCKS, SIEGES, Besieged

SIEGE_S = float(os.environ.get("SPALE_SIEGE_S", "1.2"))
IS_LONG = "SPALE_SIEGE_S" in os.environ
HARDEST = {name: siege for name, siege in SIEGES.items() if not siege.rate}
JUNK = {siege.reason for siege in SIEGES.values()}
CPU_AT_MOST = 0.05


@pytest.mark.alone  # floods leave no time to whatever runs beside them
@pytest.mark.timeout(len(SIEGES) * (SIEGE_S + 20))
def test_junk_shuts_nobody_out(house, enforcer):
    """Under any junk every knock opens, for hardly any CPU time, and a line a second says what it was."""
    besieged = Besieged(house)
    sieges = SIEGES if IS_LONG or enforcer == "tc" else HARDEST
    tolls = {name: besieged.endure(siege, SIEGE_S) for name, siege in sieges.items()}
    for name, toll in tolls.items():
        sys.stdout.write(f"{enforcer}: {name}: {toll}\n")
    wrong = {name: list(_wrong(sieges[name], toll)) for name, toll in tolls.items()}
    assert {name: found for name, found in wrong.items() if found} == {}


def _wrong(siege, toll):
    """Return, in words, what is not as it should be."""
    if toll.opened != KNOCKS:
        yield f"{toll.opened} of {KNOCKS} knocks opened"
    if toll.cpu >= CPU_AT_MOST:
        yield f"the daemon took {toll.cpu:.1%} of a CPU"
    if toll.sent < siege.rate * toll.seconds:
        yield f"only {toll.sent} frames in {toll.seconds:.1f} s: no siege"
    said = Counter(re.findall(r"^refused reason=(\w+) ", "\n".join(toll.lines), re.MULTILINE))
    if siege.reason not in said or not said.keys() <= JUNK:  # the siege before may still be told of
        yield f"{siege.reason} is not what is said: {toll.lines}"
    if max(said.values(), default=0) > toll.seconds + 2:
        yield f"too many lines in {toll.seconds:.1f} s: {said}"
    if [line for line in toll.lines if not line.startswith(("refused ", "granted ", "expired "))]:
        yield f"there are other lines: {toll.lines}"
