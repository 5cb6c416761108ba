# SPDX-License-Identifier: MIT
"""SipHash-2-4 in BPF passes the vectors of its paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rig
from siphash_reference import VECTORS, siphash24

from spale_bpf import libbpf

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = bytes(range(16))
WORDS = 7
DIGEST = slice(88, 96)  # of struct selftest_siphash


@pytest.fixture(scope="module")
def selftest() -> Iterator[libbpf.Object]:
    """Return the object that has SipHash alone."""
    rig.build()
    with libbpf.Object.open((rig.BUILD / "spale_selftest.bpf.o").read_bytes(), "selftest") as opened:
        opened.load()
        yield opened


def in_bpf(selftest: libbpf.Object, key: bytes, message: bytes) -> bytes:
    """Return SipHash as the kernel computes it."""
    words, rest = divmod(len(message), 8)
    last = message[words * 8 :] + bytes(7 - rest) + bytes([len(message)])
    data = words.to_bytes(8, "little") + key + message[: words * 8].ljust(WORDS * 8, b"\0") + last + bytes(8)
    result = libbpf.prog_test_run(selftest.program_fd("selftest_siphash"), data)
    assert result.retval == 0
    return result.data_out[DIGEST]


@pytest.mark.kernel
@pytest.mark.parametrize("length", range(len(VECTORS)))
def test_vector_in_bpf(selftest: libbpf.Object, length: int) -> None:
    """A message 00 01 02 … of each length under the key 00 01 … 0f has the published digest."""
    assert in_bpf(selftest, KEY, bytes(range(length))).hex() == VECTORS[length]


@pytest.mark.parametrize("length", range(len(VECTORS)))
def test_vector_in_the_tests_own(length: int) -> None:
    """The implementation that makes the tests' macs passes them as well."""
    assert siphash24(KEY, bytes(range(length))).hex() == VECTORS[length]
