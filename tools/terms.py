# SPDX-License-Identifier: MIT
"""Under whose terms the libraries are that a wheel carries, and how its metadata says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LICENCES = {
    "libbpf": "BSD-2-Clause OR LGPL-2.1-only",
    "libelf": "GPL-2.0-or-later OR LGPL-3.0-or-later",
    "libz": "Zlib",
    "libzstd": "BSD-3-Clause OR GPL-2.0-only",
}
"""The terms of each library that may be copied, as SPDX writes them."""

TEXTS: dict[str, tuple[str, ...]] = {
    "libbpf": ("LGPL-2.1",),
    "libelf": ("GPL-3", "LGPL-3"),
    "libz": (),
    "libzstd": (),
}
"""The long texts, by Debian's names, that its package only refers to. The LGPL 3 is an addition to the GPL 3;
the GPL 2 is in the wheel anyway, for the kernel programs."""


def expression(stems: Iterable[str]) -> str:
    """Return the terms of all these libraries together."""
    terms = (LICENCES[stem] for stem in stems)
    return " AND ".join(f"({each})" if " OR " in each else each for each in terms)


def with_terms(metadata: str, terms: str, texts: Iterable[str]) -> str:
    """Return a wheel's METADATA with the terms of what it carries beside ours, and where their texts are."""
    head, blank, body = metadata.partition("\n\n")
    lines = [
        f"{line} AND {terms}" if line.startswith("License-Expression: ") else line
        for line in head.split("\n")
    ]
    last = max(number for number, line in enumerate(lines) if line.startswith("License-File: "))
    lines[last + 1 : last + 1] = [f"License-File: {text}" for text in texts]
    return "\n".join(lines) + blank + body
