# SPDX-License-Identifier: MIT
"""Completion for fish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_line import bare, in_short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Command, Option, Value

_HEAD = """\
# SPDX-License-Identifier: MIT
# fish completion for {name}; written by tools/share.py

# Whether the words after the command begin with $argv.
function {prefix}_is
    set -l words (commandline -opc)
    set -l last (math (count $argv) + 1)
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

# Whether $argv are all the words so far.
function {prefix}_ends
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv"
end

# Whether there is no sub-command, only options.
function {prefix}_bare
    set -l words (commandline -opc)
    test (count $words) -eq 1; or string match -q -- '-*' $words[2]
end

function {prefix}_profiles
    for root in "$XDG_CONFIG_HOME" ~/.config ~/Library/Application\\ Support
        for file in $root/spale/*/config
            basename (dirname $file)
        end
    end
end

function {prefix}_clients
    for file in /etc/spale/clients/*.pem
        basename $file .pem
    end
end

complete -c {name} -f
"""

_ACTIONS = {
    "file": "-F",
    "folder": "-a '(__fish_complete_directories)'",
    "interface": "-a '(__fish_print_interfaces)'",
    "host": "-a '(__fish_print_hostnames)'",
    "user": "-a '(__fish_complete_users)'",
    "group": "-a '(__fish_complete_groups)'",
    "profile": "-a '({prefix}_profiles)'",
    "client": "-a '({prefix}_clients)'",
    "command": "-a '(__fish_complete_command)'",
}


def write(command: Command) -> str:
    """Return the script for one command."""
    prefix = f"__{command.words[0].replace('-', '_')}"
    lines = [_HEAD.format(name=command.name, prefix=prefix)]
    for each in command.everything():
        lines += ["", f"# {each.name}", *_lines(each, prefix)]
    return "\n".join(lines) + "\n"


def _lines(command: Command, prefix: str) -> Iterator[str]:
    name, below = command.words[0], " ".join(command.words[1:])
    here = _quoted(f"{prefix}_is {below}") if below else f"{prefix}_bare"
    only = _quoted(f"{prefix}_ends {below}".rstrip())
    for word, child in command.children.items():
        yield f"complete -c {name} -n {only} -a {word} -d {_quoted(child.in_a_list)}"
    flags = set()
    for option in (*command.options, *(bare(command).options if command.children else ())):
        if not flags & set(option.flags):
            flags |= set(option.flags)
            yield f"complete -c {name} -n {here} {_option(option, prefix)}"
    for place in command.places:
        where = "'contains -- -- (commandline -opc)'" if place.value.kind == "command" else here
        action = _value(place.value, prefix)
        if action:
            yield f"complete -c {name} -n {where} {action}"


def _option(option: Option, prefix: str) -> str:
    spelled = " ".join(
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
    )
    words = f" -d {_quoted(in_short(option.help))}" if option.help else ""
    if not option.values:
        return f"{spelled}{words}"
    value = option.values[0]
    action = _value(value, prefix)
    # A value is needed: -r, and -x if no file is one.
    needs = "-r" if value.kind == "file" else "-x"
    return f"{spelled} {needs}{f' {action}' if action else ''}{words}"


def _value(value: Value, prefix: str) -> str:
    if value.words:
        return f"-a {_quoted(' '.join(value.words))}"
    return _ACTIONS.get(value.kind, "").format(prefix=prefix)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
