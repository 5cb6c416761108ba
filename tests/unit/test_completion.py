# SPDX-License-Identifier: MIT
"""Completion, in real shells: every command, every option, and what stands behind them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import bare, commands
from demanded import lacking
from share import SHARE
from typist import Typist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from command_line import Command

ROOT = Path(__file__).parents[2]
ALL = {each.name: each for command in commands() for each in command.everything()}
SHELLS = ("bash", "fish")
"""Those that tell what they would offer without being typed at."""

FLAG = re.compile(r"(?<!\S)--?[a-z0-9][a-z0-9-]*")


def program(name: str) -> str:
    """Return the path of a shell; skip without it."""
    found = shutil.which(name)
    if found is None:
        lacking(f"no {name} here")
    return found


def file(shell: str, command: str) -> Path:
    """Return the file that a shell completes a command with."""
    folder = ROOT / SHARE
    return {
        "bash": folder / "bash-completion/completions" / command,
        "fish": folder / "fish/vendor_completions.d" / f"{command}.fish",
        "zsh": folder / "zsh/site-functions" / f"_{command}",
    }[shell]


def run(shell: str, script: str, home: Path) -> list[str]:
    """Return the lines that a script prints."""
    done = subprocess.run(
        [program(shell), "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def offered(shell: str, lines: Sequence[str], home: Path) -> list[list[str]]:
    """Return what a shell offers for the last word of each line; the lines are of one command."""
    name = lines[0].split()[0]
    script = [f"source {shlex.quote(str(file(shell, name)))}"]
    for line in lines:
        if shell == "fish":
            script.append(f"complete -C {shlex.quote(line)}; echo @@@")
        else:
            words = shlex.split(line) + ([""] if line.endswith(" ") else [])
            script += [
                f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1} COMPREPLY=()",
                f"words=($(complete -p {name})); ${{words[2]}} {name}",
                "printf '%s\\n' \"${COMPREPLY[@]}\" @@@",
            ]
    blocks = "\n".join(run(shell, "\n".join(script), home)).split("@@@")[: len(lines)]
    return [sorted(each.split("\t")[0] for each in block.splitlines() if each) for block in blocks]


def flags(command: Command) -> list[str]:
    """Return every spelling of every option that a command takes."""
    options = (*command.options, *bare(command).options)
    return sorted({flag for option in options for flag in option.flags})


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["spale", "spale-send", "spale-keygen"])
def test_every_option_of_every_command(shell: str, name: str, tmp_path: Path) -> None:
    """What the parsers take is what is offered, no more and no less."""
    ours = [command for command in ALL.values() if command.words[0] == name]
    answers = offered(shell, [f"{command.name} -" for command in ours], tmp_path)
    for command, answer in zip(ours, answers, strict=True):
        assert answer == flags(command), command.name


@pytest.mark.parametrize("shell", SHELLS)
def test_every_sub_command(shell: str, tmp_path: Path) -> None:
    """Behind a command its sub-commands are offered."""
    for name in ("spale", "spale-send", "spale-keygen"):
        parents = [each for each in ALL.values() if each.children and each.words[0] == name]
        answers = offered(shell, [f"{each.name} " for each in parents], tmp_path)
        for parent, answer in zip(parents, answers, strict=True):
            assert answer == sorted(parent.children), parent.name


CASES = {
    "spale list a": ["allowlist", "authorized"],
    "spale list --json a": ["allowlist", "authorized"],
    "spale list --socket there a": ["allowlist", "authorized"],
    "spale allowlist ": ["add", "del"],
    "spale authorize add --i": ["--idle-sec", "--ip"],
    "spale run --on-exit ": ["detach", "keep"],
    "spale --on-exit k": ["keep"],
    "spale check -m t": ["tc"],
    "spale check --dataplane x": ["xdp"],
    "spale run --log-level w": ["warning"],
    "spale run -i l": ["lo"],
    "spale run -S 55555 --interface l": ["lo"],
    "spale -i lo --dataplane x": ["xdp"],
    "spale run --config ma": ["mail.conf"],
    "spale run --clients f": ["folder"],
    "spale-keygen client --out f": ["folder"],
    "spale-keygen show ma": ["mail.conf"],
    "spale-send -p of": ["office"],
    "spale-send --profile of": ["office"],
    "spale-send --wire v": ["v1", "v2"],
    "spale-send --bind-source a": ["auto"],
    "spale-send profile show of": ["office"],
    "spale-send profile delete -y of": ["office"],
    "spale-send -p office --wait 22 -- bas": ["base32", "base64", "basename", "bash"],
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a file, a folder and a profile."""
    (tmp_path / "mail.conf").touch()
    (tmp_path / "folder").mkdir()
    profile = tmp_path / ".config" / "spale" / "office"
    profile.mkdir(parents=True)
    (profile / "config").touch()
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_what_stands_behind(shell: str, home: Path) -> None:
    """Words that can be typed as they are, files, folders, interfaces, profiles, commands."""
    for name in ("spale", "spale-send", "spale-keygen"):
        lines = [line for line in CASES if line.split()[0] == name]
        for line, answer in zip(lines, offered(shell, lines, home), strict=True):
            wanted = CASES[line]
            assert set(wanted) <= {each.rstrip("/") for each in answer}, line
            assert all(each.startswith(line.split(" ")[-1]) for each in answer), line


def test_an_equals_sign(home: Path) -> None:
    """Bash hands over --interface=lo as three words."""
    script = (
        f"source {file('bash', 'spale')}; COMP_WORDS=(spale run --interface = l) COMP_CWORD=4;"
        "words=($(complete -p spale)); ${words[2]} spale; echo ${COMPREPLY[*]}"
    )
    assert run("bash", script, home) == ["lo"]


@cache
def start(shell: str) -> tuple[list[str], str]:
    """Return how a shell is started for somebody to type, and the first line to type."""
    ready = "echo re''ady\n"
    if shell == "bash":
        return [program("bash"), "--norc", "--noprofile", "-i"], (
            f"bind 'set enable-bracketed-paste off'; source {file('bash', 'spale')}; PS1='> '; {ready}"
        )
    return [program("zsh"), "-f", "-i"], (
        f"fpath=({file('zsh', 'spale').parent} $fpath); autoload -U compinit; compinit -u -D;"
        f"zstyle ':completion:*' verbose no; unsetopt ZLE_BRACKETED_PASTE; LISTMAX=1000; PS1='> '; {ready}"
    )


@pytest.fixture(params=["bash", "zsh"])
def typist(request: pytest.FixtureRequest, home: Path) -> Iterator[Typist]:
    """Return somebody in front of a shell that knows our completion."""
    yield from _typist(request.param, home)


@pytest.fixture
def zsh(home: Path) -> Iterator[Typist]:
    """Return somebody in front of zsh."""
    yield from _typist("zsh", home)


def _typist(shell: str, home: Path) -> Iterator[Typist]:
    command, first = start(shell)
    typist = Typist(command, home)
    try:
        typist.type(first)
        typist.read_until("ready \n")
        yield typist
    finally:
        typist.close()


def test_somebody_presses_tab(typist: Typist) -> None:
    """`spale list al<TAB>` becomes `spale list allowlist`."""
    typist.type("spale list al\t")
    typist.read_until("list allowlist")


def test_every_option_in_zsh(zsh: Typist) -> None:
    """What the parsers take is what zsh lists, and once: -c and --config are shown together."""
    for name in ("spale run", "spale list", "spale authorize add", "spale-send", "spale-keygen client"):
        wanted = flags(ALL[name])
        zsh.type(f"{name} -\t")
        listed = zsh.read_until(*(f"{flag} " for flag in wanted)).partition("\n")[2]
        assert set(FLAG.findall(listed)) <= set(wanted), name
        zsh.type("\x15echo en''d\n")
        zsh.read_until("end \n")


def test_what_stands_behind_in_zsh(zsh: Typist) -> None:
    """Words, profiles, sub-commands of sub-commands."""
    for typed, becomes in {
        "spale run --on-exit k": "--on-exit keep",
        "spale -i lo --xdp-mode g": "--xdp-mode generic",
        "spale authorize a": "authorize add",
        "spale-send -p of": "-p office",
        "spale-send profile del": "profile delete",
        "spale-keygen show mai": "show mail.conf",
    }.items():
        zsh.type(f"{typed}\t")
        zsh.read_until(becomes)
        zsh.type("\x15")
