# SPDX-License-Identifier: MIT
"""Completion for bash 3.2 and newer, with or without the package bash-completion."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from command_line import bare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Command, Value

_HEAD = """\
# SPDX-License-Identifier: MIT
# bash completion for {name}; written by tools/share.py
# shellcheck shell=bash

"""

_ENGINE = """\
# Complete a word of the kind $1 that begins with $2; further words are what can be typed as it is.
{prefix}_offer() {{
    local kind=$1 begin=$2 IFS=$'\\n' entry
    shift 2
    # shellcheck disable=SC2207 # mapfile is not in bash 3.2; IFS is a line's end, and no name has a *
    COMPREPLY=($(compgen -W "$*" -- "$begin"))
    case $kind in
        file | folder)
            # shellcheck disable=SC2207 # as above
            COMPREPLY=($(if [ "$kind" = file ]; then compgen -f -- "$begin"; else compgen -d -- "$begin"; fi))
            compopt -o filenames 2>/dev/null
            return ;;
        interface) for entry in /sys/class/net/*; do {prefix}_add "${{entry##*/}}" "$begin"; done ;;
        client)
            for entry in /etc/spale/clients/*.pem; do
                entry=${{entry##*/}}
                {prefix}_add "${{entry%.pem}}" "$begin"
            done ;;
        profile)
            for entry in "${{XDG_CONFIG_HOME:-$HOME/.config}}"/spale/*/config \\
                "$HOME/Library/Application Support"/spale/*/config; do
                entry=${{entry%/config}}
                {prefix}_add "${{entry##*/}}" "$begin"
            done ;;
        host | user | group | command)
            # shellcheck disable=SC2207 # as above
            COMPREPLY=($(compgen -A "${{kind/host/hostname}}" -- "$begin")) ;;
    esac
}}

# Add $1 if it begins with $2 and is no pattern that nothing matched.
{prefix}_add() {{
    if [[ $1 != *'*'* && $1 == "$2"* ]]; then COMPREPLY+=("$1"); fi
}}

{prefix}() {{
    local path=$1 current=${{COMP_WORDS[COMP_CWORD]}} at=1 first place=0 number=0 option="" word taken
    COMPREPLY=()
    # The sub-commands are the first words.
    while ((at < COMP_CWORD)) && {prefix}_children "$path"; do
        word=${{COMP_WORDS[at]}}
        if [[ " $taken " != *" $word "* ]]; then break; fi
        path+=" $word"
        ((at += 1))
    done
    first=$at
    # What follows: options with their values, and places.
    for (( ; at < COMP_CWORD; at++)); do
        word=${{COMP_WORDS[at]}}
        if [[ $word == = ]]; then
            continue
        elif [[ -n $option ]] && {prefix}_value "$path" "$option" $((number + 1)); then
            ((number += 1))
        elif [[ $word == -- ]]; then
            {prefix}_offer command "$current"
            return
        elif [[ $word == -* ]]; then
            option=$word number=0
        else
            ((place += 1))
            option=""
        fi
    done
    if [[ $current == = ]]; then current=""; fi
    if [[ -n $option ]] && {prefix}_value "$path" "$option" $((number + 1)); then
        # shellcheck disable=SC2086 # the kind, then words
        {prefix}_offer ${{taken%% *}} "$current" ${{taken#* }}
    elif [[ $current == -* ]]; then
        {prefix}_options "$path"
        # shellcheck disable=SC2086 # words
        {prefix}_offer word "$current" $taken
    elif ((first == COMP_CWORD)) && {prefix}_children "$path"; then
        # shellcheck disable=SC2086 # words
        {prefix}_offer word "$current" $taken
    elif {prefix}_place "$path" $((place + 1)); then
        # shellcheck disable=SC2086 # the kind, then words
        {prefix}_offer ${{taken%% *}} "$current" ${{taken#* }}
    fi
}}

{prefix}_all() {{ {prefix} {name}; }}
complete -F {prefix}_all {name}
"""


def write(command: Command) -> str:
    """Return the script for one command."""
    prefix = "_" + command.words[0].replace("-", "_") + "_complete"
    parts = [
        _HEAD.format(name=command.name),
        *_table(f"{prefix}_children", "The sub-commands of $1.", _children(command)),
        *_table(f"{prefix}_options", "The options of $1.", _options(command)),
        *_table(
            f"{prefix}_value", "Value $3 of the option $2 of $1: its kind, then words.", _values(command)
        ),
        *_table(
            f"{prefix}_place", "What stands at the place $2 of $1: its kind, then words.", _places(command)
        ),
        _ENGINE.format(prefix=prefix, name=command.name),
    ]
    return "".join(parts)


def _table(name: str, purpose: str, rows: Iterator[tuple[str, str]]) -> Iterator[str]:
    """Yield a function that sets `taken` to what its arguments have, or fails."""
    yield f'# {purpose}\n{name}() {{\n    taken=\n    case "$*" in\n'
    for pattern, words in rows:
        yield f"        {pattern}) taken={shlex.quote(words)} ;;\n"
    yield "        *) return 1 ;;\n    esac\n}\n\n"


def _children(command: Command) -> Iterator[tuple[str, str]]:
    for each in command.everything():
        if each.children:
            yield shlex.quote(each.name), " ".join(each.children)


def _options(command: Command) -> Iterator[tuple[str, str]]:
    for each in command.everything():
        options = {
            flag: None for source in _sources(each) for option in source.options for flag in option.flags
        }
        yield shlex.quote(each.name), " ".join(options)


def _sources(command: Command) -> tuple[Command, ...]:
    """Return where the options of a command come from: `spale -i eth0` is `spale run -i eth0`."""
    return (command,) if bare(command) is command else (command, bare(command))


def _values(command: Command) -> Iterator[tuple[str, str]]:
    for each in command.everything():
        seen: dict[str, list[str]] = {}
        for option in (option for source in _sources(each) for option in source.options):
            for number, value in enumerate(option.values, 1):
                patterns = seen.setdefault(_taken(value), [])
                patterns += [shlex.quote(f"{each.name} {flag} {number}") for flag in option.flags]
        for taken, patterns in seen.items():
            yield " | ".join(dict.fromkeys(patterns)), taken


def _places(command: Command) -> Iterator[tuple[str, str]]:
    for each in command.everything():
        for number, place in enumerate(each.places, 1):
            if place.value.kind != "command":
                yield shlex.quote(f"{each.name} {number}"), _taken(place.value)


def _taken(value: Value) -> str:
    return f"{value.kind or 'word'} {' '.join(value.words)}"
