# SPDX-License-Identifier: MIT
"""`spale run`, `check` and `plugins` as an administrator calls them: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from spale_core.cli.main import COMMANDS
from spale_core.config.keys import DEFINITIONS

NOT_YET = [name for name, command in COMMANDS.items() if command.module is None]
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("SPALE_")}


def spale(*arguments, **environ) -> subprocess.CompletedProcess:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "spale_core.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=CLEAN | environ
    )


@pytest.fixture
def conf(lab):
    """Return the path of a valid configuration."""
    lab.put()
    return lab.conf


def test_check_says_what_would_run(conf):
    """Interfaces, services, clients with fingerprints, windows, sizes; nothing is wrong, exit 0."""
    done = spale("check", "-c", conf)
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        f"valid ({conf})",
        "UDP port 55555",
        "22, 443/tcp",
        "admin SHA256:",
        "idle 60 s",
        "MiB",
        "86400 s of silence",
    ):
        assert words in done.stdout
    assert "65536 grants: room for 21845 addresses; 65536 sessions" in done.stdout


def test_check_says_what_becomes_of_sessions(conf):
    """Whether they are tracked, and whether those that stand are adopted."""
    assert "those that stand at the first attach are adopted" in spale("check", "-c", conf).stdout
    assert "silence; none is adopted" in spale("check", "-c", conf, "--no-adopt").stdout
    assert "not tracked: only the grant decides" in spale("check", "-c", conf, "--session-sec", "0").stdout


def test_check_in_json(lab, conf):
    """For machines: stable keys; options count here as they do for run."""
    found = json.loads(spale("check", "-c", conf, "--json", "-t", "7", "--protect", "22/tcp").stdout)
    assert found["valid"] is True
    assert (found["services"], found["windows"]["idle_s"], found["interfaces"]) == (["22/tcp"], 7, ["lo"])
    (client,) = found["clients"]
    assert (client["name"], client["services"], client["idle_s"]) == ("admin", ["22/tcp"], 7)
    assert found["sizes"]["addresses"] == found["sizes"]["max_grants"] == 65536
    assert found["sizes"]["kernel_bytes"] > 2**20
    assert found["sessions"] == {"session_s": 86400, "adopt": True}
    assert found["configuration"] == str(lab.conf)


@pytest.mark.parametrize("command", [("check",), ("run",), ()])
def test_every_mistake_is_named_at_once(lab, command):
    """On stderr, one a line, each line beginning with its place; exit 78; `run` is the default."""
    lab.put("IDLE_SEC=x", "ADMIN_PORTS=99")
    done = spale(*command, "-c", lab.conf, "--rate", "y", SPALE_BURST="1", SPALE_MAX_SEC="z")
    assert (done.returncode, done.stdout) == (78, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "spale: 5 mistakes in the configuration:"
    places = sorted(line.partition(": ")[0] for line in lines[1:])
    assert places == sorted(["--rate", "environment", "environment", f"{lab.conf}:7", f"{lab.conf}:8"])


def test_mistakes_in_json(lab):
    """The same lines, as a list; still exit 78."""
    lab.put("IDLE_SEC=x")
    done = spale("check", "--json", "-c", lab.conf)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["valid"]) == (78, "", False)
    assert found["mistakes"][0].startswith(f"{lab.conf}:7: IDLE_SEC: 'x' is no whole number")


def test_warnings_are_printed(lab):
    """They are no mistakes."""
    lab.put("ALWAYS_ALLOW=0.0.0.0/0")
    done = spale("check", "-c", lab.conf)
    assert done.returncode == 0
    assert "ALWAYS_ALLOW: 0.0.0.0/0 lets in all of IPv4" in done.stdout


@pytest.mark.parametrize("which", [0, -1])
def test_every_option_reaches_its_key(lab, which):
    """In its short and in its long spelling; a mistake in it is called by the option's long name."""
    lab.put()
    with_value = [each for each in DEFINITIONS if each.options and each.metavar]
    words = [word for each in with_value for word in (each.options[which], "\t\n")]
    done = spale("check", "-c", lab.conf, *words)
    named = {line.partition(": ")[0] for line in done.stderr.splitlines()[1:]}
    assert named == {each.options[-1] for each in with_value}


def test_every_switch_reaches_its_key(lab):
    """A switch says 1."""
    lab.put()
    switches = [each.options for each in DEFINITIONS if each.options and not each.metavar]
    both = [spelling for spellings in switches for spelling in (spellings[0], spellings[-1])]
    assert spale("check", "-c", lab.conf, "--no-adopt", *both).returncode == 0


def test_options_that_may_be_repeated(lab):
    """-i and --server-key add up."""
    lab.put()
    done = spale(
        "check", "-c", lab.conf, "-i", "lo", "-i", "nope0", "--server-key", "/a", "--server-key", "/b"
    )
    places = [line.partition(" ")[0] for line in done.stderr.splitlines()[1:]]
    assert places == ["--interface:", "--server-key:", "--server-key:"]


@pytest.mark.parametrize("name", NOT_YET)
def test_commands_that_are_not_yet(name):
    """One clear sentence and exit 78, with or without the original's --manage."""
    for arguments in ((name, "--whatever"), ("--manage", name)):
        done = spale(*arguments)
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr == f"spale: `spale {name}` is not yet possible in this version\n"


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("run", "--nonsense"), ("check", "stray"), ("run", "-c"), ("--manage",)]
)
def test_a_command_line_that_is_none(arguments):
    """Exit 64, one line, no stack."""
    done = spale(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("spale: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in NOT_YET])
def test_help_everywhere(name):
    """It begins with how the command is called; every key that has an option is in that of run."""
    done = spale(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: spale {name} ")
    if name == "run":
        assert all(spelling in done.stdout for each in DEFINITIONS for spelling in each.options)


def test_help_and_version():
    """The overview lists every command."""
    done = spale("--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert spale("--version").stdout.startswith("spale 1.")


def test_help_is_quick():
    """It imports no command, no plugin, no cryptography."""
    program = (
        "import sys; from spale_core.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'cryptography', 'pluggy', 'pyroute2', 'attrs', 'spale_core.config'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_plugins_lists_who_brought_what(conf):
    """Name, what it offers, distribution and version, and whether this configuration uses it."""
    done = spale("plugins", "-c", conf, "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert (found["tc"]["offers"], found["tc"]["used"]) == (["dataplane"], True)
    assert (found["xdp"]["distribution"], found["xdp"]["used"]) == ("spale-xdp", False)
    assert (found["hpke"]["offers"], found["hpke"]["used"]) == (["authentication"], True)
    assert found["memory"]["offers"] == ["store"]
    assert all(each["version"] and not each["problem"] for each in found.values())
    text = spale("plugins", "-c", conf).stdout
    assert text.splitlines()[0].split() == ["NAME", "OFFERS", "FROM", "IN", "USE"]


def test_plugins_with_a_configuration_that_has_mistakes(lab):
    """The list is there all the same; what is in use is not known."""
    lab.put("IDLE_SEC=x")
    done = spale("plugins", "-c", lab.conf)
    assert done.returncode == 0
    assert "What is in use is not known" in done.stdout
