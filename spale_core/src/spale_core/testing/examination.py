# SPDX-License-Identifier: MIT
"""What a dataplane's offer `examine` promises, if it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spale_core.testing.promise import holds, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spale_core.model import Finding


class ExaminationContract:
    """Derive from this, and say in `examine` how your dataplane is asked."""

    def examine(self, interfaces: Sequence[str]) -> Sequence[Finding]:
        """Return what it finds."""
        raise NotImplementedError

    def test_each_finding_says_something(self) -> None:
        """A subject, and words for people."""
        found = self.examine(())
        holds(found, "there is something to say")
        holds(all(each.subject and each.words for each in found), "each finding has a subject and words")
        holds(all(each.interface is None for each in found), "what is not asked about is not examined")

    def test_an_interface_that_is_missing_is_a_finding(self) -> None:
        """Not an error: the rest is said all the same."""
        found = self.examine(["missing0"])
        holds(any(each.interface == "missing0" for each in found), "the interface is in the findings")

    def test_asking_twice_says_the_same(self) -> None:
        """Examining changes nothing."""
        same(list(self.examine(())), list(self.examine(())), "the second answer is the first")
