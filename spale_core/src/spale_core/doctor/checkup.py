# SPDX-License-Identifier: MIT
"""All findings of a host in one report, and whether a daemon can run there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from spale_core import plugins
from spale_core.config.localports import find_clash
from spale_core.doctor.host import examine_host
from spale_core.doctor.packages import examine_packages
from spale_core.errors import SpaleError
from spale_core.model import Finding, FindingState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spale_core.config.settings import Settings
    from spale_core.doctor.host import Host
    from spale_core.interfaces import DataplaneKind
    from spale_core.plugins import InstalledPlugin

HOST, PACKAGES, CONFIGURATION = "host", "packages", "configuration"
_DEFAULT = "tc"


@frozen
class Entry:
    """A finding, what it belongs to (an area of ours or a dataplane), and whether a daemon needs it."""

    area: str
    finding: Finding
    needed: bool = True


@frozen
class Question:
    """What is asked: `interfaces` are examined, and must be fit for the dataplane if they are `named`.

    `settings` None stands for a configuration that has mistakes; `problem` is the sentence about them then.
    """

    interfaces: tuple[str, ...]
    named: bool
    settings: Settings | None = None
    problem: str = ""


@frozen
class Report:
    """What was found; `dataplane` is the one that a daemon would use, None if there is none."""

    dataplane: str | None
    entries: tuple[Entry, ...]

    @property
    def missing(self) -> int:
        """Return how many things are missing without which no daemon runs."""
        return sum(entry.needed and entry.finding.state is FindingState.MISSING for entry in self.entries)


def check_up(host: Host, available: Sequence[InstalledPlugin], question: Question) -> Report:
    """Examine host, packages, dataplanes and configuration."""
    settings = question.settings
    used = set() if settings is None else {settings.dataplane, settings.store, *settings.auth}
    packages = list(examine_packages(available, used))
    kinds = [kind for _, offered in packages for kind in offered]
    chosen = _chosen(settings, kinds)
    entries = [Entry(HOST, finding) for finding in examine_host(host, settings)]
    entries += [Entry(PACKAGES, finding) for finding, _ in packages]
    if chosen is None:
        words = "no dataplane is installed that could be used"
        remedy = plugins.remedy(_DEFAULT)
        entries.append(Entry(PACKAGES, Finding("dataplane", FindingState.MISSING, words, remedy)))
    # The one in use first: what others find alike is not said again.
    for kind in sorted(kinds, key=lambda kind: kind.name != chosen):
        said = {entry.finding for entry in entries}
        entries += [
            Entry(kind.name, found, kind.name == chosen and (question.named or not found.interface))
            for found in _examine(kind, question)
            if found not in said
        ]
    entries += [Entry(CONFIGURATION, finding, needed=False) for finding in _configuration(question)]
    return Report(chosen, tuple(entries))


def _chosen(settings: Settings | None, kinds: Sequence[DataplaneKind]) -> str | None:
    """Return the dataplane that a daemon would use: without a configuration tc, else the first there is."""
    names = [kind.name for kind in kinds]
    wanted = _DEFAULT if settings is None else settings.dataplane
    if wanted in names:
        return wanted
    return names[0] if names and settings is None else None


def _examine(kind: DataplaneKind, question: Question) -> Sequence[Finding]:
    if kind.examine is None:
        return [Finding("examination", FindingState.OK, "this dataplane does not tell what it needs")]
    try:
        found = kind.examine(question.interfaces)
    except SpaleError as error:
        return [Finding("examination", FindingState.MISSING, f"failed: {error}")]
    loader = None if question.settings is None else question.settings.loader
    return [_demanded(each) if each.subject == loader else each for each in found]


def _demanded(found: Finding) -> Finding:
    """Return the finding of what the configuration has chosen: nothing is left to warn of."""
    return evolve(found, state=FindingState.MISSING) if found.state is FindingState.WARNING else found


def _configuration(question: Question) -> Iterator[Finding]:
    settings = question.settings
    if settings is None:
        yield Finding("configuration", FindingState.WARNING, question.problem, "spale check")
        return
    where = "no file; options and environment" if settings.config_path is None else str(settings.config_path)
    yield Finding("configuration", FindingState.OK, f"valid ({where})")
    said = str(find_clash(settings))
    for warning in settings.warnings:
        if warning != said:
            yield Finding(warning.partition(":")[0], FindingState.WARNING, warning)
