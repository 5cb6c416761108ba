# SPDX-License-Identifier: MIT
"""What bcc has compiled, with maps that we make: in the place of an object that libbpf loads (LOADER=bcc)."""

from __future__ import annotations

import os
import struct
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from spale_bpf import _abi, libbpf
from spale_bpf.compiler import NUMBERS, PROGRAMS, compiled
from spale_bpf.loadable import Loadable
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {name: kind for programs in PROGRAMS.values() for name, kind in programs.items()}
_MAPS = {number: name for name, number in NUMBERS.items()}

_INSTRUCTION = struct.Struct("=BBhi")
"""`struct bpf_insn`: operation, registers, offset, immediate value."""
_WIDE = 0x18
"""The one operation that takes two instructions (BPF_LD | BPF_DW | BPF_IMM)."""
_PSEUDO_MAP_FD = 1
"""As its source register: the immediate value is a map's descriptor."""


class CompiledObject(Loadable):
    """Programs and maps of one source."""

    def __init__(self, name: str, programs: Mapping[str, bytes]) -> None:
        """Take the instructions of each program, in which maps are `NUMBERS`."""
        self._name = name
        self._code = dict(programs)
        self._flags = dict.fromkeys(programs, 0)
        self._entries = {each: shape.entries for each, shape in _abi.MAPS.items()}
        self._fds: dict[str, int] = {}
        self._twins: list[int] = []

    @classmethod
    def open(cls, name: str) -> CompiledObject:
        """Compile an object, without telling the kernel. Raise DataplaneError."""
        return cls(name, compiled(name))

    @property
    def name(self) -> str:
        """Return what errors call it."""
        return self._name

    def set_max_entries(self, map_name: str, entries: int) -> None:
        """Size a map; only before `load`."""
        self._must_have(map_name, self._entries)
        self._entries[map_name] = entries

    def set_program_flags(self, program: str, flags: int) -> None:
        """Set the BPF_F_* flags that `program` is loaded with; only before `load`."""
        self._must_have(program, self._flags)
        self._flags[program] = flags

    def load(self) -> None:
        """Create the maps and load the programs.

        Raise LibbpfError with the end of the verifier's log if the kernel refuses one.
        """
        libbpf.bump_memlock()
        with ExitStack() as undo:
            undo.callback(self.close)
            for name, shape in _abi.MAPS.items():
                self._fds[name] = libbpf.map_create(name, shape._replace(entries=self._entries[name]))
            for name in self._code:
                self._fds[name] = self._load(name)
            undo.pop_all()

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map, owned by this object."""
        return self._fd(name, self._entries)

    def program_fd(self, name: str) -> int:
        """Return the descriptor of a program, owned by this object."""
        return self._fd(name, self._code)

    def program_fds(self) -> dict[str, int]:
        """Return the descriptors of all programs by name, owned by this object."""
        return {name: self.program_fd(name) for name in self._code}

    def load_twin(self, name: str) -> int:
        """Load a program of this object, which is loaded, a second time; both share the maps.

        Return its descriptor, owned by this object. Raise LibbpfError.
        """
        self._fd(name, self._code)
        self._twins.append(self._load(name))
        return self._twins[-1]

    def close(self) -> None:
        """Give up all descriptors; what is attached stays attached. Idempotent."""
        while self._twins:
            os.close(self._twins.pop())
        while self._fds:
            os.close(self._fds.popitem()[1])

    def _load(self, name: str) -> int:
        code = linked(self._code[name], {number: self._fds[each] for number, each in _MAPS.items()})
        return libbpf.prog_load(_KINDS[name], name, code, self._flags[name])

    def _fd(self, name: str, those: Mapping[str, object]) -> int:
        self._must_have(name, those)
        if name not in self._fds:
            raise DataplaneError(f"{self._name}: used before load, or after close")
        return self._fds[name]

    def _must_have(self, name: str, those: Mapping[str, object]) -> None:
        if name not in those:
            raise DataplaneError(f"{self._name} has no {name}")


def linked(code: bytes, fds: Mapping[int, int]) -> bytes:
    """Return instructions with descriptors in place of the maps' numbers, `fds` by number.

    Raise DataplaneError if a number is no map's.
    """
    made = bytearray(code)
    place = 0
    while place < len(made):
        operation, registers, offset, value = _INSTRUCTION.unpack_from(made, place)
        source = registers >> 4 if sys.byteorder == "little" else registers & 0xF
        if operation == _WIDE and source == _PSEUDO_MAP_FD:
            if value not in fds:
                raise DataplaneError(f"bcc cannot compile: the answer names map {value}, which is none")
            _INSTRUCTION.pack_into(made, place, operation, registers, offset, fds[value])
        place += _INSTRUCTION.size * (2 if operation == _WIDE else 1)
    return bytes(made)
