# SPDX-License-Identifier: MIT
"""`spale doctor` as an administrator calls it: the commands of docs/doctor.md, on a host with an eth0."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spale_core.demo.processes import python
from spale_core.demo.stage import Namespace

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    spale (doctor.*)$", PAGE, re.MULTILINE)
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("SPALE_")}
AREAS = {"host", "packages", "configuration", "tc", "xdp"}
WIDTH = 80


@pytest.fixture
def host():
    """Return a host with eth0; see that nothing hangs on it afterwards."""
    namespace, beyond = Namespace(), Namespace()
    try:
        namespace.cable("eth0", beyond, "far0")
        yield namespace
        with namespace.inside():
            tc = shutil.which("tc")
            shown = subprocess.run([tc, "qdisc", "show", "dev", "eth0"], capture_output=True, check=True)
        assert b"clsact" not in shown.stdout
    finally:
        beyond.close()
        namespace.close()


def spale(host, *words, become=(), **environ):
    """Run the command on that host."""
    with host.inside():
        return subprocess.run(
            [*become, *python("spale_core.cli.main", *words)],
            env=CLEAN | environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


def table(heading):
    """Return the first cells of the table that follows a line of the page."""
    _, _, rest = PAGE.partition(heading)
    rows = [line for line in rest.split("\n\n")[1].splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_commands(host, keyring_conf, command):
    """Each does what the page says: all is there where the tests run, so it ends with 0."""
    words = command.replace("/etc/spale/office.conf", str(keyring_conf)).split()
    done = spale(host, *words)
    assert (done.returncode, done.stderr) == (0, "")
    if "--json" in words:
        assert json.loads(done.stdout)["ready"] is True
    else:
        assert done.stdout.endswith("all is there that `spale run` needs\n")
        # What would be cut is longer: a command, or a path on a line of its own.
        long = [line.split() for line in done.stdout.splitlines() if len(line) > WIDTH]
        assert all(words[:2] == ["mend", "it:"] or len(words) == 1 for words in long)


@pytest.fixture
def keyring_conf(tc_house):
    """Return a valid configuration for eth0."""
    path = tc_house.folder / "office.conf"
    lines = {**tc_house.config, "IFACE": "eth0"}
    path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    path.chmod(0o600)
    return path


def test_for_programs(host, keyring_conf):
    """The keys are those of the page, and so are the subjects; what a configuration says is used."""
    done = spale(host, "doctor", "--json", "-c", str(keyring_conf), ALWAYS_ALLOW="::/0")
    found = json.loads(done.stdout)
    assert set(found) == table("prints one object.")
    assert (found["interfaces"], found["dataplane"]) == (["eth0"], "tc")
    assert found["configuration"] == str(keyring_conf)
    subjects = {
        name.split()[0] if name.startswith("plugin") else name for name in table("## What is examined")
    }
    keys_of_findings = table("Each finding has these:")
    for finding in found["findings"]:
        assert set(finding) == keys_of_findings
        assert finding["area"] in AREAS
        subject = finding["subject"].split()[0] if finding["area"] == "packages" else finding["subject"]
        assert subject in subjects or re.fullmatch(r"[A-Z_0-9]+", subject)
    warned = [each for each in found["findings"] if each["subject"] == "ALWAYS_ALLOW"]
    assert [(each["state"], each["area"]) for each in warned] == [("warning", "configuration")]


def test_an_interface_that_is_not_there(host):
    """It was named, so it must be: exit code 1, and it is said."""
    done = spale(host, "doctor", "-i", "gone0")
    assert done.returncode == 1
    assert "missing gone0 device: no interface gone0" in done.stdout
    assert done.stdout.endswith("`spale run` cannot work here: 1 missing\n")


def test_a_configuration_with_mistakes(host, keyring_conf):
    """How many, and who names them; the host can be judged without."""
    with keyring_conf.open("a") as file:
        file.write("NO_SUCH_KEY=1\n")
    done = spale(host, "doctor", "-c", str(keyring_conf))
    assert done.returncode == 0
    assert f"configuration: {keyring_conf} has 1 mistake" in " ".join(done.stdout.split())
    assert done.stdout.endswith(" needs, but for a configuration without mistakes\n")
    assert "mend it: spale check" in done.stdout


def test_without_privileges(host):
    """What is lacking, and the command that helps; exit code 1, and no traceback."""
    become = [shutil.which("setpriv"), "--bounding-set=-all", "--inh-caps=-all"]
    done = spale(host, "doctor", become=become)
    assert (done.returncode, done.stderr) == (1, "")
    assert "missing privileges: this process lacks CAP_NET_ADMIN" in done.stdout
    assert "mend it: sudo spale doctor" in done.stdout
