# SPDX-License-Identifier: MIT
"""Turn a page of docs/man into one that man(1) shows.

Of Markdown it knows what those pages have: headings, paragraphs, code, indented code, terms with their
meaning, comments (left out), and links and emphasis within lines. What becomes of it is in man(7).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TITLE = re.compile(r"# (?P<name>[\w.-]+)\((?P<section>\d)\)")
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_EMPHASIS = re.compile(r"(?<![\w*])\*([^*]+)\*(?![\w*])")
_REFERENCE = re.compile(r"\b([a-z][\w.-]*)(\(\d\))")

_HEAD = """\
.\\" SPDX-License-Identifier: MIT
.\\" written by tools/share.py from docs/man/{name}.{section}.md
.TH {title} {section} "" spale
.ad l
.nh
"""


def write(page: str) -> str:
    """Return the page in roff, for a page in Markdown that begins with ``# name(section)``."""
    title = _TITLE.match(page)
    if title is None:
        raise SystemExit(f"a page of docs/man begins with '# name(section)', not with {page[:40]!r}")
    name, section = title["name"], title["section"]
    body = _COMMENT.sub("", page[title.end() :])
    blocks = [block.rstrip() for block in re.split(r"\n\s*\n", body) if block.strip()]
    head = _HEAD.format(name=name, section=section, title=name.upper())
    return head + "".join(f"{line}\n" for line in _lines(blocks))


def _lines(blocks: list[str]) -> Iterator[str]:
    behind_heading = False
    for index, block in enumerate(blocks):
        lines = block.strip("\n").split("\n")
        if lines[0].startswith("#"):
            yield _heading(lines[0])
        elif lines[0].startswith("    "):
            # Blank lines within code are between blocks of it: one frame for all.
            first = not blocks[index - 1].lstrip("\n").startswith("    ")
            last = index + 1 == len(blocks) or not blocks[index + 1].lstrip("\n").startswith("    ")
            if first and not behind_heading:
                yield ".PP"
            yield from _code(lines, first=first, last=last)
        elif len(lines) > 1 and lines[1].startswith(":   "):
            yield ".TP"
            yield _inline(lines[0])
            yield _inline(" ".join([lines[1][4:], *(line.strip() for line in lines[2:])]))
        else:
            if not behind_heading:
                yield ".PP"
            yield _inline(" ".join(line.strip() for line in lines))
        behind_heading = lines[0].startswith("#")


def _heading(line: str) -> str:
    level, _, words = line.partition(" ")
    return f".{'SH' if level == '##' else 'SS'} {_escaped(words.replace('`', ''))}"


def _code(lines: list[str], *, first: bool, last: bool) -> Iterator[str]:
    if first:
        yield ".RS 4"
        yield ".nf"
    else:
        yield ""
    for line in lines:
        yield _guarded(_escaped(line[4:]).replace("-", "\\-"))
    if last:
        yield ".fi"
        yield ".RE"


def _inline(text: str) -> str:
    """Return a paragraph with its fonts, in one line."""
    parts = _CODE.split(_LINK.sub(r"\1", text))
    # Every second part was in backticks.
    fonts = [_bold(part) if index % 2 else _prose(part) for index, part in enumerate(parts)]
    return _guarded("".join(fonts))


def _bold(code: str) -> str:
    return f"\\fB{_escaped(code)}\\fR".replace("-", "\\-")


def _prose(text: str) -> str:
    text = _EMPHASIS.sub(r"\\fI\1\\fR", _escaped(text))
    text = _REFERENCE.sub(r"\\fB\1\\fR\2", text)
    return text.replace(" - ", " \\- ")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e")


def _guarded(line: str) -> str:
    """Return a line that is no request, whatever it begins with."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
