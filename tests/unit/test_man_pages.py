# SPDX-License-Identifier: MIT
"""Man pages and completion are written from the parsers, whole, and as man(1) wants them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import roff
import share
from command_line import commands
from demanded import lacking

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path for path in (ROOT / share.SHARE / "man").rglob("*.[1-8]")}
SECTIONS = (
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "EXIT STATUS",
    "FILES",
    "ENVIRONMENT",
    "EXAMPLES",
    "SEE ALSO",
)
OF_THE_FILE = tuple("KEYS" if each == "OPTIONS" else each for each in SECTIONS if each != "EXIT STATUS")
COMMANDS = {"spale": "spale.8", "spale-send": "spale-send.1", "spale-keygen": "spale-keygen.1"}
UNDATED = 'missing date, using ""'
"""What mandoc says of a page that is not of any day: they are written again and again."""


def plain(text: str) -> str:
    """Return roff without its fonts."""
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-")


def test_they_are_up_to_date() -> None:
    """`nox -s man` would change nothing, and nothing is there that it does not write."""
    written = share.files()
    found = {path.relative_to(ROOT) for path in (ROOT / share.SHARE).rglob("*") if path.is_file()}
    assert found == set(written)
    assert not [path for path, text in written.items() if (ROOT / path).read_text("utf-8") != text]


def test_there_are_four() -> None:
    """Each command has its page, and so has the configuration."""
    assert set(PAGES) == {*COMMANDS.values(), "spale.conf.5"}


@pytest.mark.parametrize("page", sorted({*COMMANDS.values(), "spale.conf.5"}))
def test_every_page_has_its_sections(page: str) -> None:
    """In the order that readers know; others may stand between them."""
    headings = re.findall(r"^\.SH (.*)$", PAGES[page].read_text("utf-8"), re.MULTILINE)
    wanted = OF_THE_FILE if page == "spale.conf.5" else SECTIONS
    assert [each for each in headings if each in wanted] == list(wanted)


@pytest.mark.parametrize("command", commands(), ids=lambda each: each.name)
def test_every_option_is_explained(command) -> None:
    """Every spelling of every option of every sub-command heads a paragraph in the part about it."""
    text = plain(PAGES[COMMANDS[command.name]].read_text("utf-8"))
    parts = dict(re.findall(r"^\.S[SH] (.*)\n((?:(?!\.S[SH] ).*\n)*)", text, re.MULTILINE))
    common = parts["OPTIONS"] + parts.get("COMMANDS THAT ASK THE DAEMON", "")
    for each in command.everything():
        own = parts.get(each.name, "")
        if also := re.search(r"^Takes the options of (.*?)(?:\.|, and:)$", own, re.MULTILINE):
            own += parts[also[1]]
        terms = re.findall(r"^\.TP\n(.*)$", own + common, re.MULTILINE)
        explained = {word for term in terms for part in term.split(", ") for word in part.split(" ")[:1]}
        assert {flag for option in each.options for flag in option.flags} <= explained, each.name


@pytest.mark.parametrize("page", sorted(PAGES))
def test_mandoc_finds_no_fault(page: str) -> None:
    """Each page is good man(7) for the stricter of its readers."""
    program = shutil.which("mandoc")
    if program is None:
        lacking("no mandoc here")
    command = [program, "-T", "lint", "-W", "warning", str(PAGES[page])]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    assert not [line for line in said.splitlines() if UNDATED not in line]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_groff_shows_it_whole(page: str) -> None:
    """Groff warns of nothing, and what is in code can be copied: its hyphens are ones."""
    program = shutil.which("groff")
    if program is None:
        lacking("no groff here")
    command = [program, "-ww", "-man", "-Tutf8", "-P-cbou", str(PAGES[page])]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert shown.stderr == ""
    words = re.sub(r"\s+", " ", shown.stdout)
    assert "SEE ALSO" in words
    if page == "spale.8":
        assert "spale run -i eth0 -S 55555 --protect 22/tcp --always-allow 198.51.100.7 --trial 120" in words


def test_what_roff_must_not_misread() -> None:
    """A line that begins with a dot or an apostrophe is text, a backslash is one."""
    page = roff.write(
        "# x(1)\n\n## NAME\n\n.cfg files\n\n'tis `a\\-b`, *so* [there](x.md), see y(5)\n\n    .so\n\n    -x\n"
    )
    assert page.partition(".SH NAME\n")[2].splitlines() == [
        "\\&.cfg files",
        ".PP",
        "\\&'tis \\fBa\\e\\-b\\fR, \\fIso\\fR there, see \\fBy\\fR(5)",
        ".PP",
        ".RS 4",
        ".nf",
        "\\&.so",
        "",
        "\\-x",
        ".fi",
        ".RE",
    ]
