# SPDX-License-Identifier: MIT
"""Elements of maps: look up, update, delete, walk. Keys and values are bytes of exactly the map's sizes."""

from __future__ import annotations

import ctypes
import errno
import functools
from ctypes import c_uint32
from typing import TYPE_CHECKING

from spale_bpf.libbpf.native import LibbpfError, call

if TYPE_CHECKING:
    from collections.abc import Iterator

BPF_ANY = 0
BPF_NOEXIST = 1
BPF_EXIST = 2

_BATCH = 4096
"""Entries that one system call of `map_items` fetches."""

_ENOTSUPP = 524
"""The kernel-internal errno with which map types that lack an operation answer."""

NO_SUCH_OPERATION = (errno.EINVAL, errno.EOPNOTSUPP, _ENOTSUPP)


def map_lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """Return the value of `key`, or None if it is not there. Raise LibbpfError."""
    value = ctypes.create_string_buffer(value_size)
    try:
        call("map look-up", "bpf_map_lookup_elem", fd, key, value)
    except LibbpfError as error:
        if error.number == errno.ENOENT:
            return None
        raise
    return value.raw


def map_lookup_percpu(fd: int, key: bytes, value_size: int) -> list[bytes]:
    """Return the value of `key` on every possible CPU; empty if it is not there. Raise LibbpfError."""
    stride = (value_size + 7) // 8 * 8
    values = map_lookup(fd, key, stride * possible_cpus())
    if values is None:
        return []
    return [values[start : start + value_size] for start in range(0, len(values), stride)]


def map_update(fd: int, key: bytes, value: bytes, flags: int = BPF_ANY) -> None:
    """Set the value of `key`. Raise LibbpfError; a full map is E2BIG (hash) or ENOSPC (trie)."""
    call("map update", "bpf_map_update_elem", fd, key, value, flags)


def map_delete(fd: int, key: bytes) -> bool:
    """Remove `key`; return whether it was there. Raise LibbpfError."""
    try:
        call("map delete", "bpf_map_delete_elem", fd, key)
    except LibbpfError as error:
        if error.number == errno.ENOENT:
            return False
        raise
    return True


def map_take(fd: int, key: bytes, value_size: int) -> bytes | None:
    """Remove `key` and return its value, None if it is not there. Raise LibbpfError.

    At one go where the kernel can (5.14 for hashes); else a program may write in between, unnoticed.
    """
    value = ctypes.create_string_buffer(value_size)
    try:
        call("take out of a map", "bpf_map_lookup_and_delete_elem", fd, key, value)
    except LibbpfError as error:
        if error.number == errno.ENOENT:
            return None
        if error.number not in NO_SUCH_OPERATION:
            raise
        found = map_lookup(fd, key, value_size)
        return found if map_delete(fd, key) else None
    return value.raw


def map_keys(fd: int, key_size: int) -> Iterator[bytes]:
    """Walk the keys.

    A key that is removed meanwhile makes the kernel start again, so that a key may come twice; none is left
    out that was there all the time. Raise LibbpfError.
    """
    key: bytes | None = None
    following = ctypes.create_string_buffer(key_size)
    while True:
        try:
            call("walk through a map", "bpf_map_get_next_key", fd, key, following)
        except LibbpfError as error:
            if error.number == errno.ENOENT:
                return
            raise
        key = following.raw
        yield key


def map_items(
    fd: int, key_size: int, value_size: int, *, at_once: int = _BATCH
) -> Iterator[tuple[bytes, bytes]]:
    """Walk keys and values, `at_once` per system call where the kernel can (5.6).

    Entries that come or go meanwhile may be missing or come twice. Raise LibbpfError.
    """
    try:
        yield from _batches(fd, key_size, value_size, at_once)
    except LibbpfError as error:
        if error.number not in NO_SUCH_OPERATION:
            raise
        for key in map_keys(fd, key_size):
            value = map_lookup(fd, key, value_size)
            if value is not None:
                yield key, value


def _batches(fd: int, key_size: int, value_size: int, at_once: int) -> Iterator[tuple[bytes, bytes]]:
    keys = ctypes.create_string_buffer(key_size * at_once)
    values = ctypes.create_string_buffer(value_size * at_once)
    position = ctypes.create_string_buffer(max(key_size, ctypes.sizeof(c_uint32)))
    start: ctypes.Array[ctypes.c_char] | None = None
    last = False
    while not last:
        count = c_uint32(at_once)
        try:
            call(
                "walk through a map",
                "bpf_map_lookup_batch",
                fd,
                start,
                position,
                keys,
                values,
                ctypes.byref(count),
                None,
            )
        except LibbpfError as error:
            # ENOENT says "that was the rest", and comes with it.
            if error.number != errno.ENOENT:
                raise
            last = True
        start = position
        raw_keys, raw_values = keys.raw, values.raw
        for place in range(count.value):
            yield (
                raw_keys[place * key_size : (place + 1) * key_size],
                raw_values[place * value_size : (place + 1) * value_size],
            )


@functools.cache
def possible_cpus() -> int:
    """Return the number of CPUs that the kernel keeps per-CPU values for."""
    return call("number of possible CPUs", "libbpf_num_possible_cpus")
