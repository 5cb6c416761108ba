# SPDX-License-Identifier: MIT
"""Kernel modules: what each one says that it needs. As the packages have them, nobody has run depmod."""

from __future__ import annotations

import lzma
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable
    from pathlib import Path

NEEDED = ("veth", "sch_ingress", "cls_bpf", "tun", "inet_diag", "tcp_diag", "udp_diag")

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def in_tree(tree: Path) -> dict[str, Path]:
    """Return the files of all modules in an unpacked package."""
    return {path.name.partition(".")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}


def read(path: Path) -> bytes:
    """Return a module as a kernel takes it that cannot decompress."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def depends(content: bytes) -> list[str]:
    """Return which modules one needs."""
    found = _DEPENDS.search(content)
    return found[1].decode().replace("-", "_").split(",") if found and found[1] else []


def in_order(
    wanted: Iterable[str], there: Container[str], needs: Callable[[str], Iterable[str]]
) -> list[str]:
    """Return `wanted` and all that they need, what is needed first; what is not `there` is built in."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in there and name not in order:
            for needed in needs(name):
                add(needed)
            order.append(name)

    for name in wanted:
        add(name)
    return order
