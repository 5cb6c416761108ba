# SPDX-License-Identifier: MIT
"""Debian's cloud kernels: which there are, and which of them is wanted. No I/O.

Up to Linux 6.12 a kernel is one package; later ones are spread over several that the first one depends on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NEWEST = "newest"
SERIES = {
    "4.19": ("buster",),
    "5.10": ("bullseye", "bullseye-security"),
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("trixie", "trixie-security"),
    NEWEST: ("trixie-backports", "sid"),
}
"""The series that are tried, and the suites that have them."""

_MAIN, _SECURITY = "Debian", "Debian-Security"
"""What the repositories call themselves (Label)."""

_IMAGE = re.compile(r"linux-image-(?P<release>\d\S*-cloud-amd64)")
_CANDIDATE = "~rc"


class Package(NamedTuple):
    """What an index says of a package; `file` is the name that it is downloaded as."""

    name: str
    version: str
    depends: tuple[str, ...]
    sha256: str
    size: int

    @property
    def release(self) -> str:
        """Return what `uname -r` says under the kernel that an image is."""
        return self.name.removeprefix("linux-image-")


def source_lines(mirrors: Mapping[str, str], suites: Iterable[str], keyring: str) -> Iterator[str]:
    """Yield a line of sources.list for each suite that a mirror (by label) should have."""
    for suite in suites:
        uri = mirrors.get(_SECURITY if suite.endswith("-security") else _MAIN)
        if uri:
            yield f"deb [arch=amd64 signed-by={keyring}] {uri} {suite} main\n"


def packages(index: str) -> Iterator[Package]:
    """Yield the packages of an index (`Packages`) that a cloud kernel is made of."""
    for paragraph in index.split("\n\n"):
        name = paragraph[:80].removeprefix("Package: ").partition("\n")[0]
        if name.startswith("linux-") and name.endswith("-cloud-amd64"):
            fields = dict(re.findall(r"^(\w[\w-]*): (.*)$", paragraph, re.MULTILINE))
            depends = tuple(re.findall(r"(?:^|[,|] )([^\s,]+)", fields.get("Depends", "")))
            yield Package(name, fields["Version"], depends, fields["SHA256"], int(fields["Size"]))


def candidates(known: Iterable[Package], series: str) -> list[Package]:
    """Return the images of a series, the newest first; no release candidates."""
    prefix = "" if series == NEWEST else f"{series}."
    images = {
        package
        for package in known
        if _IMAGE.fullmatch(package.name)
        and package.version.startswith(prefix)
        and _CANDIDATE not in package.version
    }
    return sorted(images, key=lambda package: (_numbers(package.version), package.name), reverse=True)


def _numbers(version: str) -> list[int]:
    """Return what kernels are ordered by; good enough for versions that begin with three numbers."""
    return [int(number) for number in re.findall(r"\d+", version)]


def parts(image: Package, known: Iterable[Package]) -> list[Package]:
    """Return an image and the packages of the same release that it depends on, in any number of steps."""
    of_release = {
        package.name: package
        for package in known
        if package.name.endswith(f"-{image.release}") and package.version == image.version
    }
    found = {image.name: image}
    waiting = [image]
    while waiting:
        for name in waiting.pop().depends:
            if name in of_release and name not in found:
                found[name] = of_release[name]
                waiting.append(of_release[name])
    return list(found.values())
