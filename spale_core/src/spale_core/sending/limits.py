# SPDX-License-Identifier: MIT
"""What options and profiles say, which of it excludes what, and which addresses it leaves out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spale_core.config.mistakes import shown
from spale_core.errors import ConfigError, UnavailableError, UsageError
from spale_core.knock import choose_targets
from spale_core.sending.addresses import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spale_core.knock import Target

_BOTH: Final = frozenset(FAMILIES)


class Said(NamedTuple):
    """One value: the option or the key that gave it, and the name of the profile if that did."""

    name: str
    value: Any
    profile: str = ""

    @property
    def key(self) -> str:
        """Return what a message calls it."""
        return self.name + (f" of the profile {self.profile}" if self.profile else "")

    @property
    def words(self) -> str:
        """Return it with its value, as it was written."""
        written = f"{self.name}{' ' if self.name.startswith('-') else '='}{self.value}"
        return self._replace(name=written).key


class Limit(NamedTuple):
    """What leaves only some `versions` of IP, and whether a profile says so."""

    words: str
    versions: frozenset[int]
    in_profile: bool = False


def refuse_version_1(said: Mapping[str, Said]) -> None:
    """Raise UsageError or ConfigError for what a datagram of version 1 cannot say, if that is the one."""
    if "wire" not in said or said["wire"].value != "v1":
        return
    lacking = [said[name] for name in ("services", "idle_sec") if name in said and said[name].value]
    if "bind_source" in said and said["bind_source"].value.versions:
        lacking.append(said["bind_source"])
    if lacking:
        names = ", ".join(each.key for each in lacking)
        raise _kind(bool(each.profile) for each in lacking)(
            f"{names}: a datagram of version 1 cannot say that; leave it out, or take v2"
        )


def find_limits(said: Mapping[str, Said], family: int) -> tuple[Limit, ...]:
    """Return what limits the versions of IP; `family` is that of -4 or -6, or AF_UNSPEC.

    Raise UsageError or ConfigError for two that exclude each other.
    """
    limits = [
        Limit(f"-{version}", frozenset({version})) for version, each in FAMILIES.items() if each == family
    ]
    if "bind_source" in said and said["bind_source"].value.versions:
        binding = said["bind_source"]
        limits.append(Limit(binding.words, binding.value.versions, bool(binding.profile)))
    if "source" in said:
        source = said["source"]
        limits.append(Limit(source.words, frozenset({source.value.version}), bool(source.profile)))
    for number, one in enumerate(limits):
        for other in limits[:number]:
            if not one.versions & other.versions:
                raise _kind((one.in_profile, other.in_profile))(
                    f"{one.words} is {_named(one.versions)}, and {other.words} wants "
                    f"{_named(other.versions)}; leave one of them out"
                )
    return tuple(limits)


def choose(host: str, found: Iterable[Target], limits: Sequence[Limit]) -> tuple[Target, ...]:
    """Return which of the addresses `found` of `host` to knock at; raise UnavailableError if none fits."""
    allowed = _allowed(limits)
    chosen = choose_targets(found, allowed)
    if not chosen:
        wanting = next(limit.words for limit in limits if limit.versions == allowed)
        raise UnavailableError(f"{shown(host)} has no {_named(allowed)} address, and {wanting} wants one")
    return chosen


def left_out(found: Iterable[Target], limits: Sequence[Limit]) -> str:
    """Return a sentence about addresses that can be reached and are not knocked at, "" if there are none."""
    allowed = _allowed(limits)
    left = dict.fromkeys(
        str(target.address)
        for target in found
        if target.address.version not in allowed and _is_reachable(target)
    )
    if not left:
        return ""
    version = min(allowed)
    words = " and ".join(limit.words for limit in limits if limit.versions == allowed)
    return (
        f"not knocked at {', '.join(left)}, because of {words}: there the port stays shut. Connect by "
        f"{_named(allowed)}, as with ssh -{version}, and give -{version} here too; or leave that out; or "
        "write an address of each family as --bind-source"
    )


def _allowed(limits: Iterable[Limit]) -> frozenset[int]:
    return _BOTH.intersection(*(limit.versions for limit in limits))


def _is_reachable(target: Target) -> bool:
    """Tell whether this host knows a way there; nothing is sent."""
    try:
        with socket.socket(FAMILIES[target.address.version], socket.SOCK_DGRAM) as probe:
            probe.connect(target.socket_address)
    except OSError:
        return False
    return True


def _named(versions: frozenset[int]) -> str:
    return " or ".join(f"IPv{version}" for version in sorted(versions))


def _kind(in_profile: Iterable[bool]) -> type[ConfigError | UsageError]:
    """Return whose mistake it is: the profile's if all of it stands there."""
    return ConfigError if all(in_profile) else UsageError
