# SPDX-License-Identifier: MIT
"""`spale detach` without a daemon."""

import argparse
import os

import pytest
from lab import FLOODED, doors, settings

import spale_tc.attach
import spale_xdp.attach
from spale_core.cli import detach
from spale_core.errors import DataplaneError, PermissionDeniedError

pytestmark = pytest.mark.kernel

NOBODY = 65534
ENDS = "a daemon that has nothing left to guard ends within ten seconds"


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


def command(*words):
    """Run `spale detach` with these words; return its exit code."""
    parser = argparse.ArgumentParser()
    detach.add_parser(parser.add_subparsers())
    args = parser.parse_args(["detach", *words])
    return detach.run(args)


@pytest.fixture
def left_behind():
    """Attach TC to one door and XDP to the other, and let go of them."""
    for make, name in ((spale_tc.attach.make, "door0"), (spale_xdp.attach.make, "door1")):
        made = make(settings())
        made.set_services({FLOODED})
        made.attach([name])
        made.close()


@pytest.mark.usefixtures("left_behind")
def test_everything_of_ours_goes_and_is_named(capsys):
    """Every installed enforcer's programs are removed from every interface, one line each; exit 0."""
    assert command() == 0
    assert set(capsys.readouterr().out.splitlines()) == {
        "detached tcx from door0",
        "detached native from door1",
        ENDS,
    }


@pytest.mark.usefixtures("left_behind")
def test_an_interface_can_be_named(capsys):
    """With -i only that interface is opened."""
    assert command("-i", "door0") == 0
    assert capsys.readouterr().out == f"detached tcx from door0\n{ENDS}\n"


def test_nothing_there_is_success_and_said(capsys):
    """Where nothing was attached the command says so and exits 0."""
    assert command() == 0
    assert "nothing of ours" in capsys.readouterr().out


def test_an_unknown_interface_is_an_error():
    """A name that is not there is a mistake, not nothing to do."""
    with pytest.raises(DataplaneError, match="no interface gone"):
        command("-i", "gone")


def test_only_root_can_detach():
    """Another user is refused in words, with exit code 77."""
    child = os.fork()
    if child == 0:
        os.seteuid(NOBODY)
        try:
            command()
        except PermissionDeniedError as error:
            os._exit(error.exit_code)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
