# SPDX-License-Identifier: MIT
"""An object file with programs and maps: opened from memory, sized, loaded."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_bool, c_char_p, c_size_t, c_uint32, c_void_p

from spale_bpf.libbpf.loading import INSTRUCTION, VerifierLog, prog_load
from spale_bpf.libbpf.native import LibbpfError, bump_memlock, call, chatter, library
from spale_bpf.loadable import Loadable
from spale_core.errors import DataplaneError


class _OpenOpts(ctypes.Structure):
    """`struct bpf_object_open_opts`."""

    _fields_ = (
        ("sz", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", c_bool),
        ("pin_root_path", c_char_p),
        ("removed", c_uint32),
        ("kconfig", c_char_p),
        ("btf_custom_path", c_char_p),
        ("kernel_log_buf", c_void_p),
        ("kernel_log_size", c_size_t),
        ("kernel_log_level", c_uint32),
    )


class Object(Loadable):
    """Programs and maps of one object file."""

    def __init__(self, handle: int, name: str, log: VerifierLog) -> None:
        """Own the opened object `handle`; use `open`."""
        self._handle: int | None = handle
        self._name = name
        self._log = log
        self._twins: list[int] = []

    @classmethod
    def open(cls, content: bytes, name: str) -> Object:
        """Read an object file from memory, without telling the kernel.

        Raise LibbpfError if it is not one.
        """
        log = VerifierLog()
        options = _OpenOpts(
            sz=ctypes.sizeof(_OpenOpts),
            object_name=name.encode(),
            kernel_log_buf=log.address,
            kernel_log_size=log.size,
        )
        ctypes.set_errno(0)
        handle = library().bpf_object__open_mem(content, len(content), ctypes.byref(options))
        if not handle:
            raise LibbpfError(f"{name}: not a usable BPF object", ctypes.get_errno(), chatter().take())
        return cls(handle, name, log)

    @property
    def name(self) -> str:
        """Return what errors call it."""
        return self._name

    def set_max_entries(self, map_name: str, entries: int) -> None:
        """Size a map; only before `load`."""
        call(
            f"{self._name}: size of map {map_name}", "bpf_map__set_max_entries", self._map(map_name), entries
        )

    def set_program_flags(self, program: str, flags: int) -> None:
        """Set the BPF_F_* flags that `program` is loaded with; only before `load`."""
        call(f"{self._name}: flags of {program}", "bpf_program__set_flags", self._program(program), flags)

    def load(self) -> None:
        """Create the maps and load the programs.

        Raise LibbpfError with the end of the verifier's log if the kernel refuses one.
        """
        bump_memlock()
        try:
            call(f"{self._name}: the kernel refuses to load it", "bpf_object__load", self._open_handle())
        except LibbpfError as error:
            if error.number == errno.EPERM:
                raise
            details = "\n".join((*self._log.lines(), *str(error).splitlines()[1:]))
            raise LibbpfError(f"{self._name}: the kernel refuses to load it", error.number, details) from None

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map, owned by this object."""
        return call(f"{self._name}: map {name}", "bpf_map__fd", self._map(name))

    def program_fd(self, name: str) -> int:
        """Return the descriptor of a program, owned by this object."""
        return call(f"{self._name}: program {name}", "bpf_program__fd", self._program(name))

    def program_fds(self) -> dict[str, int]:
        """Return the descriptors of all programs by name, owned by this object."""
        names = []
        program = library().bpf_object__next_program(self._open_handle(), None)
        while program:
            names.append(library().bpf_program__name(program).decode())
            program = library().bpf_object__next_program(self._open_handle(), program)
        return {name: self.program_fd(name) for name in names}

    def load_twin(self, name: str) -> int:
        """Load a program of this object, which is loaded, a second time; both share the maps.

        Return its descriptor, owned by this object. Raise LibbpfError.
        """
        program = self._program(name)
        code = library().bpf_program__insns(program)
        length = library().bpf_program__insn_cnt(program) * INSTRUCTION
        kind = library().bpf_program__type(program)
        self._twins.append(prog_load(kind, name, ctypes.string_at(code, length)))
        return self._twins[-1]

    def close(self) -> None:
        """Give up all descriptors; what is attached stays attached. Idempotent."""
        while self._twins:
            os.close(self._twins.pop())
        if self._handle is not None:
            library().bpf_object__close(self._handle)
            self._handle = None

    def _open_handle(self) -> int:
        if self._handle is None:
            raise DataplaneError(f"{self._name}: used after close")
        return self._handle

    def _map(self, name: str) -> int:
        found = library().bpf_object__find_map_by_name(self._open_handle(), name.encode())
        if not found:
            raise DataplaneError(f"{self._name} has no map {name}")
        return int(found)

    def _program(self, name: str) -> int:
        found = library().bpf_object__find_program_by_name(self._open_handle(), name.encode())
        if not found:
            raise DataplaneError(f"{self._name} has no program {name}")
        return int(found)
