# SPDX-License-Identifier: MIT
"""The build id of an ELF file, which stays when the file is stripped, patched or renamed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"\x7fELF\x02\x01"
"""64 bits, little-endian: all that spale is built for."""

BPF = 247
"""The machine of a kernel program, linux/elf-em.h."""

PT_NOTE = 4
GNU_BUILD_ID = 3
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
NOTE = struct.Struct("<III")


class Header(NamedTuple):
    """What is read of an ELF header."""

    machine: int
    offset: int
    """Of the program headers."""

    size: int
    """Of one of them."""

    entries: int


def header(content: bytes) -> Header | None:
    """Return the header of `content`, None if it is no ELF file."""
    if not content.startswith(MAGIC) or len(content) < HEADER.size:
        return None
    _, _, machine, _, _, offset, _, _, _, size, count, *_ = HEADER.unpack_from(content)
    return Header(machine, offset, size, count)


def build_id(content: bytes) -> str | None:
    """Return the build id of an ELF file in hexadecimal, None if it has none or `content` is none."""
    found = header(content)
    if found is None:
        return None
    for number in range(found.entries):
        kind, _, offset, _, _, size, _, _ = PROGRAM_HEADER.unpack_from(
            content, found.offset + number * found.size
        )
        if kind == PT_NOTE:
            for name, note, text in notes(content[offset : offset + size]):
                if (name, note) == (b"GNU\0", GNU_BUILD_ID):
                    return text.hex()
    return None


def notes(section: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield name, kind and text of each note; each is padded to four bytes."""
    place = 0
    while place + NOTE.size <= len(section):
        name_size, text_size, kind = NOTE.unpack_from(section, place)
        name_at = place + NOTE.size
        text_at = name_at + -(-name_size // 4) * 4
        yield section[name_at : name_at + name_size], kind, section[text_at : text_at + text_size]
        place = text_at + -(-text_size // 4) * 4
