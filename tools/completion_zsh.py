# SPDX-License-Identifier: MIT
"""Completion for zsh, by its own `_arguments` and `_describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_line import bare, in_short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Command, Option, Value

_HEAD = """\
#compdef {name}
# SPDX-License-Identifier: MIT
# zsh completion for {name}; written by tools/share.py

{prefix}_profiles() {{
    local -a found
    found=(${{XDG_CONFIG_HOME:-$HOME/.config}}/spale/*/config(N:h:t))
    found+=(${{HOME}}/Library/Application\\ Support/spale/*/config(N:h:t))
    compadd -a found
}}

{prefix}_clients() {{
    local -a found
    found=(/etc/spale/clients/*.pem(N:t:r))
    compadd -a found
}}
"""

_PARENT = """
{function}() {{
{command}    local -a commands
    commands=(
{described}
    )
    if (( CURRENT > 2 )); then
        case $words[2] in
{cases}
        esac
    elif [[ $words[CURRENT] != -* ]]; then
        _describe -t commands {name} commands
        return
    fi
{arguments}
}}
"""

_CASE = """\
            {word}) shift words; (( CURRENT -= 1 )); {function}; return ;;"""

_LEAF = """
{function}() {{
{command}{arguments}
}}
"""

_BEHIND_DASHES = """\
    local -i dashes=${words[(i)--]}
    if (( dashes < CURRENT )); then
        shift $dashes words
        (( CURRENT -= dashes ))
        _normal
        return
    fi
"""

_ACTIONS = {
    "file": "_files",
    "folder": "_directories",
    "interface": "_net_interfaces",
    "host": "_hosts",
    "user": "_users",
    "group": "_groups",
    "profile": "{prefix}_profiles",
    "client": "{prefix}_clients",
}


def write(command: Command) -> str:
    """Return the script for one command."""
    prefix = f"_{command.words[0]}"
    parts = [_HEAD.format(name=command.name, prefix=prefix)]
    parts += [_function(each, prefix) for each in reversed(list(command.everything()))]
    return "".join(parts) + f'\n{_function_name(command)} "$@"\n'


def _function_name(command: Command) -> str:
    return "_" + "_".join(command.words) + ("_all" if len(command.words) == 1 else "")


def _function(command: Command, prefix: str) -> str:
    arguments = _arguments(command, prefix)
    behind = _BEHIND_DASHES if any(place.value.kind == "command" for place in command.places) else ""
    if not command.children:
        return _LEAF.format(function=_function_name(command), command=behind, arguments=arguments)
    children = command.children.items()
    described = [f"        {_quoted(f'{name}:{child.in_a_list}')}" for name, child in children]
    cases = [_CASE.format(word=name, function=_function_name(child)) for name, child in children]
    return _PARENT.format(
        function=_function_name(command),
        command=behind,
        described="\n".join(described),
        cases="\n".join(cases),
        name=command.words[0],
        arguments=arguments,
    )


def _arguments(command: Command, prefix: str) -> str:
    """Return the call of _arguments that knows a command's options and places."""
    known = bare(command)
    specs = [_option(option, known, prefix) for option in (*known.options, *_besides(command, known))]
    if known.places:
        specs += [
            _quoted(f"{number}:{_message(place.value.metavar)}:{_action(place.value, prefix)}")
            for number, place in enumerate(known.places, 1)
            if place.value.kind != "command"
        ]
    return "    _arguments -s -S" + "".join(f" \\\n        {spec}" for spec in specs)


def _besides(command: Command, known: Command) -> Iterator[Option]:
    """Yield the options that only the command by itself has."""
    flags = {flag for option in known.options for flag in option.flags}
    yield from (option for option in command.options if not flags & set(option.flags))


def _option(option: Option, command: Command, prefix: str) -> str:
    others = {flag for group in command.alternatives if option.flags[-1] in group for flag in group}
    excluded = [] if option.repeatable else [*option.flags, *sorted(others - set(option.flags))]
    sign = f"({' '.join(excluded)})" if len(excluded) > 1 else ""
    star = "*" if option.repeatable else ""
    flags = option.flags[0] if len(option.flags) == 1 else f"{{{','.join(option.flags)}}}"
    words = f"[{_explained(in_short(option.help))}]"
    values = "".join(f":{_message(value.metavar)}:{_action(value, prefix)}" for value in option.values)
    first = _quoted(f"{sign}{star}") if sign or star else ""
    return f"{first}{flags}{_quoted(words + values)}"


def _action(value: Value, prefix: str) -> str:
    if value.words:
        return f"({' '.join(value.words)})"
    return _ACTIONS.get(value.kind, " ").format(prefix=prefix)


def _message(metavar: str) -> str:
    return metavar.replace(":", "\\:").replace("[", "").replace("]", "")


def _explained(words: str) -> str:
    return words.replace("[", "\\[").replace("]", "\\]")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
