# SPDX-License-Identifier: MIT
"""What the one file decides: which command it is, and what of its environment is for nobody else."""

from __future__ import annotations

import os

import pytest

from spale_core import onefile
from spale_core.cli import main
from spale_core.cli import onefile as commands

BOOTLOADERS = {"_PYI_ARCHIVE_FILE": "/usr/bin/spale", "_PYI_PARENT_PROCESS_LEVEL": "1"}
"""What PyInstaller's bootloader says to the process that it starts."""


@pytest.fixture(autouse=True)
def _forget():
    """Leave nothing behind that a process of ours, started by a later test, would be told."""
    yield
    onefile._taken.clear()


@pytest.mark.parametrize(
    ("name", "words", "chosen"),
    [
        ("spale", ["status"], ("main", ["status"])),
        ("spale", [], ("main", [])),
        ("spale-1.0-x86_64", ["send", "-v"], ("send", ["-v"])),
        ("spale", ["keygen", "server"], ("keygen", ["server"])),
        ("spale-send", ["-v"], ("send", ["-v"])),
        ("spale-send", ["send"], ("send", ["send"])),
        ("spale-keygen", ["server"], ("keygen", ["server"])),
    ],
)
def test_a_name_or_a_first_word_chooses(name, words, chosen):
    """The name of a link counts before the words; every other name is spale's."""
    assert commands.chosen(name, words) == chosen


def test_no_command_has_two_meanings():
    """What only the one file has is no sub-command elsewhere."""
    assert not set(commands.SUBCOMMANDS) & set(main.COMMANDS)
    assert set(commands.NAMES.values()) == set(commands.SUBCOMMANDS)


@pytest.mark.parametrize("before", [{}, {"LD_LIBRARY_PATH": "/opt/lib"}])
def test_others_get_the_environment_from_before(before):
    """What the bootloader wrote is taken out, and LD_LIBRARY_PATH is what it was."""
    path = ":".join(["/tmp/_MEI1", *before.values()])  # noqa: S108 - nothing is written there
    kept = {f"{name}_ORIG": value for name, value in before.items()}
    environment = {"HOME": "/", "LD_LIBRARY_PATH": path, **BOOTLOADERS, **kept}
    onefile.take_out(environment)
    assert environment == {"HOME": "/", **before}


def test_ours_get_what_was_taken_out():
    """A process of ours finds our folder, and takes the same out of its own environment."""
    given = {"LD_LIBRARY_PATH": "/ours:/opt", "LD_LIBRARY_PATH_ORIG": "/opt", **BOOTLOADERS}
    environment = {"HOME": "/", **given}
    onefile.take_out(environment)
    assert onefile.environment_of_ours() == given
    again = environment | onefile.environment_of_ours()
    onefile.take_out(again)
    assert again == environment


def test_the_watchdog_of_the_parent_is_ours():
    """What systemd says to the process that it started counts for us, what it says to others does not."""
    for_parent, for_other = {"WATCHDOG_PID": str(os.getppid())}, {"WATCHDOG_PID": "1"}
    commands.adopt_watchdog(for_parent)
    commands.adopt_watchdog(for_other)
    assert for_parent == {"WATCHDOG_PID": str(os.getpid())}
    assert for_other == {"WATCHDOG_PID": "1"}


def test_elsewhere_nothing_is_different():
    """An installation by pip is not one file, and tells its processes nothing."""
    assert not onefile.is_one()
    assert onefile.environment_of_ours() == {}
