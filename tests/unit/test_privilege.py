# SPDX-License-Identifier: MIT
"""Whom the listener becomes, and that it does not go on with a privilege left.

What is left of a listener that runs is checked in test_two_processes.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from spale_core import privilege
from spale_core.errors import ConfigError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

PROGRAM = """
import os, sys
from spale_core import privilege
from spale_core.errors import SpaleError
{before}
status = open("/proc/self/status")
try:
    privilege.drop(privilege.resolve({user!r}), {parent})
except SpaleError as error:
    sys.exit(str(error))
names = ("CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs", "Uid")
status = [line.split() for line in status]
{after}
print({{words[0].rstrip(":"): words[1] for words in status if words[0].rstrip(":") in names}})
"""


def drop(user=None, before="", parent="os.getppid()", after=""):
    """Return what a process that has dropped its privileges prints, and says on standard error."""
    program = PROGRAM.format(user=user, before=before, parent=parent, after=after)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout, done.stderr


@needs_root
def test_a_user_and_a_group():
    """USER alone has its own group."""
    nobody = privilege.resolve("nobody")
    assert nobody.uid != 0
    assert privilege.resolve("nobody:nogroup").gid == nobody.gid


@needs_root
@pytest.mark.parametrize("words", ["root", "nobody:root", "no-such-user", "nobody:no-such-group", ":nogroup"])
def test_whom_the_listener_must_not_become(words):
    """Root, root's group, and whoever does not exist."""
    with pytest.raises(ConfigError, match="DROP_PRIVS"):
        privilege.resolve(words)


@needs_root
def test_root_becomes_nobody():
    """Everything is gone."""
    output, _ = drop("nobody")
    assert "'CapEff': '0000000000000000'" in output
    assert "'NoNewPrivs': '1'" in output
    assert "'Uid': '0'" not in output


@needs_root
def test_somebody_else_keeps_his_name_only():
    """Without root the listener stays who it is, and naming somebody is an error."""
    become = "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)"
    output, _ = drop(before=become)
    assert "'Uid': '65534'" in output
    _, words = drop("nobody", before=become)
    assert "only root can become another user" in words


def test_a_parent_that_is_gone():
    """A listener whose monitor ended meanwhile does not go on without it."""
    _, words = drop(parent="1 << 30")
    assert "the monitor ended" in words


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("open('/dev/null')", "Too many open files"),
        ("socket.socket()", "Too many open files"),
        ("os.fork()", "Resource temporarily unavailable"),
    ],
)
@needs_root
def test_nothing_can_be_opened_or_started(words, error):
    """The bounds hold where there is no filter of system calls, too."""
    _, said = drop("nobody", before="import socket", after=words)
    assert error in said
