# SPDX-License-Identifier: MIT
"""spale-keygen --qr, on a real pseudo-terminal, read back module by module."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
import segno

from spale_core.cli import keygen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DARK = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
LINE = re.compile(r"\x1b\[38;5;231;48;5;16m([█▀▄ ]+)\x1b\[0m")


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a server's keys and a bundle."""
    monkeypatch.chdir(tmp_path)
    keygen.main(["server"])
    keygen.main(["client", "--name", "laptop", "--bundle", "--server-pub", "server.key.pub"])
    return tmp_path


def on_terminal(
    *arguments: str, size: tuple[int, int] = (60, 100), code: str = "", charset: str = "utf-8"
) -> tuple[int, str]:
    """Run spale-keygen on a terminal of `size` (lines, columns); return exit code and what is on it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    program = f"import sys; {code}from spale_core.cli import keygen; sys.exit(keygen.main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "PYTHONIOENCODING": charset},
    )
    os.close(slave)
    printed = b""
    try:
        while piece := os.read(master, 65536):
            printed += piece
    except OSError:
        pass  # EIO: the other end is closed
    os.close(master)
    return process.wait(30), printed.decode("utf-8").replace("\r\n", "\n")


def modules(lines: Sequence[str]) -> list[list[int]]:
    """Return the code that a terminal shows, a row of 0 (light) and 1 (dark) for each row of modules."""
    rows = []
    for line in lines:
        rows += [[DARK[each][half] for each in line] for half in (0, 1)]
    return rows


def assert_code(printed: str, content: bytes) -> None:
    """Assert that exactly `content` is on the screen, with the border that scanners want."""
    code = segno.make(content, error="l", boost_error=False, micro=False)
    expected = [list(row) for row in code.matrix_iter(border=4)]
    seen = modules(LINE.findall(printed))
    assert seen[: len(expected)] == expected
    assert all(set(row) == {1} for row in seen[len(expected) :])


def test_a_new_bundle(office: Path) -> None:
    """The code on the screen is the file, and who may have seen it is warned about."""
    client = ("client", "--name", "phone", "--bundle", "--server-pub", "server.key.pub", "--qr")
    code, printed = on_terminal(*client)
    assert code == 0
    assert_code(printed, (office / "phone.key").read_bytes())
    assert "warning: whoever sees this" in printed
    assert "PRIVATE KEY" not in printed


def test_a_bundle_that_is_there(office: Path) -> None:
    """`show --qr` prints one later on, below what it says of the file."""
    code, printed = on_terminal("show", "laptop.key", "--qr")
    assert code == 0
    assert printed.startswith("laptop.key: bundle")
    assert_code(printed, (office / "laptop.key").read_bytes())


@pytest.mark.usefixtures("office")
def test_only_a_bundle() -> None:
    """A server's key is no phone's business."""
    code, printed = on_terminal("show", "server.key", "--qr")
    assert (code, LINE.findall(printed)) == (64, [])
    assert "for a client's bundle" in printed


def test_no_file_and_no_pipe(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A private key gets into no log by this."""
    del office
    capsys.readouterr()
    assert keygen.main(["show", "laptop.key", "--qr"]) == 64
    said = capsys.readouterr()
    assert said.out == ""
    assert "to a terminal only" in said.err


TOO_SMALL = {"size": (24, 80)}
REFUSALS = {
    "a small terminal": (TOO_SMALL, "the code needs 65 columns and 34 lines; this terminal has 80 and 24"),
    "no segno": ({"code": "sys.modules['segno'] = None; "}, "pip install 'spale-core[qr]'"),
    "no UTF-8": ({"charset": "latin-1"}, "knows UTF-8"),
}


@pytest.mark.parametrize(("settings", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_where_it_cannot(settings: dict[str, str], words: str, office: Path) -> None:
    """One sentence, exit 69, and no keys were made that nobody has seen."""
    before = set(office.iterdir())
    client = ("client", "--name", "phone", "--bundle", "--server-pub", "server.key.pub", "--qr")
    code, printed = on_terminal(*client, **settings)
    assert code == 69
    assert words in printed
    assert printed.count("\n") == 1
    assert set(office.iterdir()) == before
