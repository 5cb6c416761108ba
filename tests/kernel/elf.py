# SPDX-License-Identifier: MIT
"""As much of ELF as it takes to look at the instructions of a BPF object file (little-endian)."""

from __future__ import annotations

import struct
from typing import NamedTuple

_SHT_SYMTAB, _STT_FUNC = 2, 2

CLASS_LDX, CLASS_STX, CLASS_JMP, CLASS_JMP32 = 0x01, 0x03, 0x05, 0x06
MODE_ATOMIC, MODE_SIGNED = 0xC0, 0x80
CALL, EXIT, ALWAYS, PSEUDO_CALL, WIDE = 0x85, 0x95, 0x05, 1, 0x18


class Instruction(NamedTuple):
    """One instruction; `slot` is its place in units of eight bytes, of which a wide one takes two."""

    slot: int
    opcode: int
    source: int
    offset: int
    immediate: int

    @property
    def kind(self) -> int:
        """Return the class, the lowest three bits of the opcode."""
        return self.opcode & 0x07

    @property
    def next_slots(self) -> list[int]:
        """Return the slots at which execution may go on."""
        following = self.slot + (2 if self.opcode == WIDE else 1)
        if self.opcode == EXIT:
            return []
        if self.kind != CLASS_JMP or self.opcode == CALL:
            return [following]
        target = following + self.offset
        return [target] if self.opcode == ALWAYS else [following, target]


def has_loop(code: list[Instruction]) -> bool:
    """Return whether any path leads back to where it was; jumps backwards alone are no loop."""
    waiting = {instruction.slot: 0 for instruction in code}
    by_slot = {instruction.slot: instruction for instruction in code}
    for instruction in code:
        for slot in instruction.next_slots:
            waiting[slot] += 1
    ready = [slot for slot, ways in waiting.items() if ways == 0]
    done = 0
    while ready:
        done += 1
        for slot in by_slot[ready.pop()].next_slots:
            waiting[slot] -= 1
            if waiting[slot] == 0:
                ready.append(slot)
    return done < len(code)


class Object:
    """An object file: its sections by name, and its functions."""

    def __init__(self, content: bytes) -> None:
        """Read the section headers and symbols."""
        (table,) = struct.unpack_from("<Q", content, 40)
        size, count, names = struct.unpack_from("<HHH", content, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", content, table + size * place) for place in range(count)]
        self._content = content
        self._headers = headers
        self.sections = {self._string(headers[names], header[0]): header for header in headers}

    def _string(self, table: tuple[int, ...], place: int) -> str:
        start = table[4] + place
        return self._content[start : self._content.index(b"\0", start)].decode()

    def functions(self) -> dict[str, list[Instruction]]:
        """Return the instructions of every function."""
        symbols = next(header for header in self._headers if header[1] == _SHT_SYMTAB)
        found = {}
        for place in range(symbols[4], symbols[4] + symbols[5], 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self._content, place)
            if info & 0x0F == _STT_FUNC:
                start = self._headers[section][4] + value
                code = self._content[start : start + size]
                found[self._string(self._headers[symbols[6]], name)] = decoded(code)
        return found


def decoded(code: bytes) -> list[Instruction]:
    """Return the instructions that these bytes are."""
    instructions = []
    place = 0
    while place < len(code):
        opcode, registers, offset, immediate = struct.unpack_from("<BBhi", code, place)
        instructions.append(Instruction(place // 8, opcode, registers >> 4, offset, immediate))
        place += 16 if opcode == WIDE else 8
    return instructions
