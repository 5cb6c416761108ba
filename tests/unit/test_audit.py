# SPDX-License-Identifier: MIT
"""`nox -s audit`: "none is known" is said only of packages for which somebody was asked."""

from __future__ import annotations

import pytest
from audit import UNAVAILABLE, VULNERABLE, Verdict, audit, judge, rounds

PINS = {"one": "1.0", "two": "2.0"}
CLEAN = [{"name": "one", "version": "1.0", "vulns": []}, {"name": "two", "version": "2.0", "vulns": []}]
BAD = {"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"], "aliases": []}


def test_all_asked_and_nothing_known():
    """Only that is a success."""
    verdict = judge(PINS, {"dependencies": CLEAN})
    assert (verdict.code, verdict.words) == (0, "no known vulnerability")


def test_what_is_known_is_told_with_its_remedy():
    """Package, version, number of the vulnerability, and what fixes it."""
    verdict = judge(
        PINS, {"dependencies": [CLEAN[0], {**CLEAN[1], "vulns": [BAD, {**BAD, "fix_versions": []}]}]}
    )
    assert verdict.code == VULNERABLE
    assert verdict.words.splitlines() == [
        "two 2.0: PYSEC-1, fixed in 2.1, 3.0",
        "two 2.0: PYSEC-1, fixed in none yet",
    ]


@pytest.mark.parametrize(
    "second",
    [[{"name": "two", "skip_reason": "not found"}], []],
    ids=["the service does not know it", "left out"],
)
def test_what_could_not_be_asked_for_is_no_success(second):
    """pip-audit itself ends with 0 there, and says that nothing was found."""
    verdict = judge(PINS, {"dependencies": [CLEAN[0], *second]})
    assert verdict.code == UNAVAILABLE
    assert verdict.words.startswith("not audited: ")


def test_what_is_known_comes_before_what_is_not():
    """A vulnerability is not hidden by a service that answered in part."""
    verdict = Verdict(["two 2.0: PYSEC-1, fixed in 2.1"], ["no word about one"])
    assert (verdict.code, len(verdict.words.splitlines())) == (VULNERABLE, 2)


def test_every_pin_is_asked_for_whichever_system_it_is_for():
    """Once, also if two files have it; two versions of one package are asked for one after the other."""
    base = 'one==1.0 \\\n    --hash=sha256:00\ntwo==2.0 ; sys_platform == "win32" \\\n    --hash=sha256:00\n'
    assert rounds([base, base]) == [PINS]
    assert rounds([base, "two==2.1 \\\n"]) == [PINS, {"two": "2.1"}]


def test_who_asks_nobody_is_told_so(tmp_path, monkeypatch):
    """It is no success; nor is a service taken that was not meant."""
    monkeypatch.setenv("SPALE_AUDIT", "offline")
    assert audit(tmp_path).words == "not audited: SPALE_AUDIT=offline"
    monkeypatch.setenv("SPALE_AUDIT", "?")
    with pytest.raises(SystemExit, match="is none of pypi, osv, offline"):
        audit(tmp_path)
