# SPDX-License-Identifier: MIT
"""The time that what is built is said to be of."""

from __future__ import annotations

from source_date import BEFORE_ALL, of_changelog, source_date

CHANGES = """\
# Changes

<!-- towncrier: releases follow, newest first -->

## 1.1.0 (2027-03-01)

## 1.0.0 (2026-12-24)
"""


def test_it_is_what_the_environment_says(monkeypatch):
    """Whoever builds a package may say it; it is a whole number of seconds."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert source_date() == 1_700_000_000


def test_without_git_it_is_the_day_of_the_newest_release():
    """Midnight UTC; an archive of the sources says the same wherever it is unpacked."""
    assert of_changelog(CHANGES) == 1_803_859_200


def test_before_the_first_release_it_is_some_day():
    """And always the same one."""
    assert of_changelog("# Changes\n") == BEFORE_ALL
