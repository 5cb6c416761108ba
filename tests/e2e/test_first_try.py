# SPDX-License-Identifier: MIT
"""spale-send waits for a real door: until it opens, or with the word for how it stayed."""

from __future__ import annotations

import re

import pytest
from house import SPA_PORT
from lines import NOBODY
from reloading import RELOAD_S, Change

from spale_core.demo.poll import until
from spale_core.demo.processes import Background, ProcessFailedError, python
from spale_core.model import Protocol, Service

SSH = Service(Protocol.TCP, 22)
PORTS = f"{SSH},{NOBODY}"
BRIEFLY = ("--wait-sec", "1")


@pytest.fixture(scope="module")
def street(tc_hall):
    """Return a guarded house with a protected port behind which nobody is."""
    tc_hall.guard(PROTECTED_PORTS=PORTS, USHER_PORTS=SSH)
    return tc_hall


def failure(house, client, source, *options):
    """Return the exit code and the words of a spale-send that fails."""
    with pytest.raises(ProcessFailedError) as failed:
        house.knock(client, source, *options)
    return failed.value.exit_code, str(failed.value)


def test_the_port_is_open_when_it_returns(street, family):
    """To the very next connection, silently; a command behind it finds it open too."""
    guest = street.guest(family)
    assert street.knock("anna", guest, "--wait", str(SSH.port)) == ""
    assert street.all_open([guest], [SSH])
    assert street.knock("anna", street.guest(family), "--wait", "22", "--", "echo", "open") == "open\n"


def test_still_shut(street, family):
    """Who is a stranger to the server waits in vain, and is told what was seen."""
    code, words = failure(street, "stranger", street.guest(family), "--wait", "22", *BRIEFLY)
    address = street.stage.server_addresses[family]
    assert code == 69
    seen = rf"{re.escape(str(address))}: still shut; the server's log says why"
    assert re.search(rf"port 22 did not open in \d+\.\d s: {seen}$", words, re.MULTILINE)


def test_refused(street, family):
    """Where nobody listens behind the door."""
    code, words = failure(street, "anna", street.guest(family), "--wait", str(NOBODY.port), *BRIEFLY)
    assert (code, words.rpartition(": ")[2]) == (69, "refused")


def test_no_route(street, family):
    """To another host than the one that was knocked at, where there is no way."""
    nowhere = "10.255.255.1" if family == 4 else "fd00::1"
    code, words = failure(street, "anna", street.guest(family), "--connect", nowhere, "22", *BRIEFLY)
    assert (code, words.rpartition(": ")[2]) == (69, "no route")


def test_it_knocks_again_until_it_is_let_in(tc_house):
    """A first knock that came to nothing costs no more than the time until the next."""
    change, guest = Change(tc_house), tc_house.guest(4)
    change.remove("anna")
    tc_house.guard(PROTECTED_PORTS=PORTS, USHER_PORTS=SSH)
    host = str(tc_house.stage.server_addresses[4])
    where = ("--host", host, "--port", str(SPA_PORT), "--key", str(tc_house.keyring.bundle("anna")))
    bound = ("--source", str(guest), "--bind-source", str(guest))
    words = python("spale_core.cli.send", *where, *bound, "--wait", "22", "--wait-sec", "60", "-v")
    log = tc_house.folder / "send.log"
    waiting = Background(tc_house.stage.client, words, log)
    try:
        assert until(lambda: log.read_text().count("sent to") > 1, RELOAD_S)
        assert waiting.exit_code is None
        change.add("anna")
        change.reload(PROTECTED_PORTS=PORTS, USHER_PORTS=SSH)
        assert until(lambda: waiting.exit_code is not None, RELOAD_S)
        assert waiting.exit_code == 0, log.read_text()
    finally:
        waiting.stop()
    assert f"{host} port 22 was open" in log.read_text()
