# SPDX-License-Identifier: MIT
"""Where each file of an installation goes, and what is written into it there."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tree import ROOT

if TYPE_CHECKING:
    import argparse

SHARE = ROOT / "spale_core/share"
"""Manual pages, and completion for shells."""

COMMANDS = {
    "spale": ("sbin", "spale_core.cli.main"),
    "spale-send": ("bin", "spale_core.cli.send"),
    "spale-keygen": ("bin", "spale_core.cli.keygen"),
}

PLAIN = re.compile(r"/[\w .,:+~=/-]*")
"""Paths that a unit, a script's first line, a shell's completion and a manual page can hold."""

CONFIGURATION = "/etc/spale"
"""Where the program looks for its configuration, as its source has it."""


class Places:
    """Where things go: as they will be called, and behind `on_disk` where they are put now."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Take the variables of the Makefile; exit where they cannot be used."""
        for path in (arguments.prefix, arguments.sysconfdir, arguments.unitdir):
            if not PLAIN.fullmatch(path):
                sys.exit(
                    f"install: {path!r}: PREFIX, SYSCONFDIR and UNITDIR must be absolute paths,"
                    " of letters, digits, spaces and .,:+~=_-"
                )
        self._destdir = str(Path(arguments.destdir).resolve()) if arguments.destdir else ""
        self.prefix = Path(arguments.prefix)
        self.home = self.prefix / "lib/spale"
        self.documents = self.prefix / "share/doc/spale"
        self.configuration = Path(arguments.sysconfdir) / "spale"
        self.unit = Path(arguments.unitdir) / "spale.service"

    def on_disk(self, path: Path) -> Path:
        """Return where `path` is below DESTDIR."""
        return Path(f"{self._destdir}{path}")

    @property
    def links(self) -> dict[Path, Path]:
        """Return the commands, and what they link to."""
        return {
            self.prefix / folder / name: Path("../lib/spale/bin") / name
            for name, (folder, _) in COMMANDS.items()
        }

    @cached_property
    def texts(self) -> dict[Path, str]:
        """Return all files outside of `home`, with what is in them."""
        shared = (path for path in SHARE.rglob("*") if path.is_file())
        sources = {
            **{self.prefix / "share" / path.relative_to(SHARE): path for path in sorted(shared)},
            self.unit: ROOT / "systemd/spale.service.in",
            self.prefix / "lib/sysusers.d/spale.conf": ROOT / "systemd/sysusers.conf",
            self.prefix / "lib/tmpfiles.d/spale.conf": ROOT / "systemd/tmpfiles.conf",
            self.documents / "sshd-requires-spale.conf": ROOT / "systemd/sshd-requires-spale.conf",
            self.documents / "without-cap-sys-admin.conf": ROOT / "systemd/without-cap-sys-admin.conf",
        }
        filled = {path: self._filled(source) for path, source in sources.items()}
        return {**filled, self.documents / "spale.conf.example": self.example}

    @property
    def example(self) -> str:
        """Return an example of a configuration."""
        return self.configured((ROOT / "docs/spale.conf.example").read_text("utf-8"))

    def configured(self, text: str) -> str:
        """Return `text` with the folder of the configuration as SYSCONFDIR has it."""
        return re.sub(rf"{CONFIGURATION}(?![\w-])", str(self.configuration), text)

    def _filled(self, source: Path) -> str:
        text = source.read_text("utf-8")
        if source.is_relative_to(SHARE):
            # Shells and roff read a space behind a backslash as one that is part of the name.
            return re.sub(rf"{CONFIGURATION}(?![\w-])", str(self.configuration).replace(" ", r"\\ "), text)
        command = str(self.prefix / "sbin/spale")
        return text.replace("@SBINDIR@/spale", f'"{command}"' if " " in command else command)
