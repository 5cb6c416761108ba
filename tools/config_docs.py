# SPDX-License-Identifier: MIT
"""Write what the documents say of keys, commands and options, from what the programs themselves read.

`python tools/config_docs.py` writes; with --check it only names what is out of date, and exits with 1.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import man_pages

from spale_core.config.example import spellings, write_example
from spale_core.config.keys import CLIENT_DEFINITIONS, DEFINITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spale_core.config.definitions import Definition

ROOT = Path(__file__).parents[1]
EXAMPLE = Path("docs/spale.conf.example")
COMMANDS = {"spale": 8, "spale-send": 1, "spale-keygen": 1}
"""The commands, and the sections of their man pages."""

SECTIONS = {
    "keys": Path("docs/configuration.md"),
    "client keys": Path("docs/configuration.md"),
    "man keys": Path("docs/man/spale.conf.5.md"),
    "man client keys": Path("docs/man/spale.conf.5.md"),
    **{
        f"{what} of {name}": Path(f"docs/man/{name}.{section}.md")
        for name, section in COMMANDS.items()
        for what in ("synopsis", "options")
    },
    "options of whoever asks": Path("docs/man/spale.8.md"),
}
"""The parts of documents that are written here, each between two marks, and where they are."""


def main(arguments: list[str]) -> int:
    """Bring the documents up to date, or check that they are."""
    stale = [path for path, text in documents().items() if (ROOT / path).read_text("utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{path} is out of date\n")
    if "--check" in arguments:
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).write_text(documents()[path], "utf-8")
    return 0


def documents() -> dict[Path, str]:
    """Return the text that each document should have."""
    texts = {EXAMPLE: write_example()}
    for section, path in SECTIONS.items():
        text = texts.get(path) or (ROOT / path).read_text("utf-8")
        texts[path] = _with_section(text, section, "\n".join(_WRITERS[section]()).rstrip())
    return texts


def _with_section(text: str, section: str, content: str) -> str:
    begin, end = f"<!-- {section}: written by tools/config_docs.py -->\n", f"<!-- end of {section} -->\n"
    before, found, rest = text.partition(begin)
    if not found:
        raise SystemExit(f"no mark for {section!r}")
    return f"{before}{begin}\n{content}\n\n{end}{rest.partition(end)[2]}"


def _table() -> Iterator[str]:
    yield "| key | option | default | what it says |"
    yield "|---|---|---|---|"
    for each in DEFINITIONS:
        cells = (_key_cell(each), _options_cell(each), _default_cell(each), each.help)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _client_table() -> Iterator[str]:
    yield "| key | example | what it says |"
    yield "|---|---|---|"
    for each in CLIENT_DEFINITIONS:
        yield f"| `NAME_{each.suffix}` | `{each.example}` | {each.help} |"


def _key_cell(definition: Definition) -> str:
    if definition.option_only:
        return "(option only)"
    return f"`{definition.key}`, `{definition.also}`" if definition.also else f"`{definition.key}`"


def _options_cell(definition: Definition) -> str:
    return ", ".join(f"`{each}`" for each in spellings(definition))


def _default_cell(definition: Definition) -> str:
    if definition.required:
        return "required"
    return f"`{definition.default}`" if definition.default else ""


def _man_keys() -> Iterator[str]:
    for each in DEFINITIONS:
        if not each.option_only:
            names = f"`{each.key}`, `{each.also}`" if each.also else f"`{each.key}`"
            yield from _item(names, _sentence(each))


def _man_client_keys() -> Iterator[str]:
    for each in CLIENT_DEFINITIONS:
        yield from _item(f"`NAME_{each.suffix}`", _capital(f"{each.help}."))


def _sentence(definition: Definition) -> str:
    default = "; required" if definition.required else ""
    if definition.default:
        default = f"; default: `{definition.default}`"
    return _capital(f"{definition.help}{default}.")


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _item(term: str, words: str) -> Iterator[str]:
    yield term
    yield f":   {words}"
    yield ""


_WRITERS = {
    "keys": _table,
    "client keys": _client_table,
    "man keys": _man_keys,
    "man client keys": _man_client_keys,
    **{f"synopsis of {name}": partial(man_pages.synopsis, name) for name in COMMANDS},
    **{f"options of {name}": partial(man_pages.options, name) for name in COMMANDS},
    "options of whoever asks": man_pages.asking,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
