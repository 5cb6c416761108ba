# SPDX-License-Identifier: MIT
"""SipHash-2-4 is what its authors say it is."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from spale_core.siphash import siphash24

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "siphash-2-4.json").read_text(encoding="utf-8"))


def test_the_papers_example() -> None:
    """Appendix A of the paper: key 00..0f, message 00..0e."""
    assert siphash24(bytes(range(16)), bytes(range(15))) == bytes.fromhex("e545be4961ca29a1")


@pytest.mark.parametrize("length", range(64))
def test_the_authors_table(length: int) -> None:
    """Every length from empty to seven words and a rest."""
    key = bytes.fromhex(VECTORS["key"])
    assert siphash24(key, bytes(range(length))).hex() == VECTORS["macs"][length]


@pytest.mark.parametrize("length", [112, 255, 256, 300])
def test_as_openssl(length: int) -> None:
    """Keys and messages with the high bits set, and lengths that do not fit the length byte."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    noise = random.Random(length)  # noqa: S311 - a repeatable message, not a secret
    key, message = noise.randbytes(16), noise.randbytes(length)
    command = ["openssl", "mac", "-macopt", f"hexkey:{key.hex()}", "-macopt", "size:8", "-in", "-", "SIPHASH"]
    result = subprocess.run(command, input=message, capture_output=True, timeout=20, check=False)
    if result.returncode != 0:
        pytest.skip("this openssl has no SipHash")
    assert siphash24(key, message) == bytes.fromhex(result.stdout.decode())


@pytest.mark.parametrize("length", [0, 8, 15, 17, 32])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """A key that was cut off does not hash silently."""
    with pytest.raises(ValueError, match="16 bytes"):
        siphash24(bytes(length), b"")
