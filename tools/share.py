# SPDX-License-Identifier: MIT
"""Write spale_core/share, which is installed with spale-core: man pages and completion of the shells.

From the parsers of the commands, and for the man pages from docs/man too, so run tools/config_docs.py first.
`python tools/share.py` writes; with --check it only names what is out of date, and exits with 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import completion_bash
import completion_fish
import completion_zsh
import roff
from command_line import commands

ROOT = Path(__file__).parents[1]
SHARE = Path("spale_core/share")
PAGES = Path("docs/man")


def main(arguments: list[str]) -> int:
    """Bring the files up to date, or check that they are."""
    wanted = files()
    stale = sorted(path for path, text in wanted.items() if _text(ROOT / path) != text)
    unknown = sorted(path for path in (ROOT / SHARE).rglob("*") if path.is_file() and _unknown(path, wanted))
    for path in stale:
        sys.stdout.write(f"{path} is out of date\n")
    for path in unknown:
        sys.stdout.write(f"{path} is nobody's\n")
    if "--check" in arguments:
        return 1 if stale or unknown else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], "utf-8")
    for path in unknown:
        path.unlink()
    return 0


def files() -> dict[Path, str]:
    """Return what each file should have."""
    texts = {}
    for page in sorted((ROOT / PAGES).glob("*.md")):
        name = page.name.removesuffix(".md")
        texts[SHARE / f"man/man{name[-1]}" / name] = roff.write(page.read_text("utf-8"))
    for command in commands():
        texts[SHARE / "bash-completion/completions" / command.name] = completion_bash.write(command)
        texts[SHARE / "zsh/site-functions" / f"_{command.name}"] = completion_zsh.write(command)
        texts[SHARE / "fish/vendor_completions.d" / f"{command.name}.fish"] = completion_fish.write(command)
    return texts


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _unknown(path: Path, wanted: dict[Path, str]) -> bool:
    return path.relative_to(ROOT) not in wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
