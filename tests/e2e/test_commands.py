# SPDX-License-Identifier: MIT
"""Every command of an administrator, against a real daemon, as a user calls it."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import time
from contextlib import ExitStack

import pytest
from house import ALL, LOG_S, NOTICED_S, START_S
from lines import DESK, Desk
from reloading import Change
from switchboard import SOMEBODY, somebody

from spale_core.cli.listings import LISTINGS
from spale_core.demo.poll import until
from spale_core.demo.processes import ProcessFailedError, python, run_tool
from spale_core.model import Protocol, Service

SSH = Service(Protocol.TCP, 22)
ALWAYS = "203.0.113.0/24"
GROUP = grp.getgrall()[1]
"""Any group that there is; nobody here is in it but who says so."""


class Office:
    """A guarded house, and the administrator who asks its daemon."""

    def __init__(self, house, stack):
        """Start the daemon; its configuration can be changed."""
        house.config.update(
            PROTECTED_PORTS=",".join(map(str, (*ALL, DESK))),
            USHER_PORTS="22/tcp",
            ALWAYS_ALLOW=ALWAYS,
            SOCKET_GROUP=GROUP.gr_name,
        )
        self.house = house
        self.change = Change(house)
        house.guard()
        self.desk = Desk(house, house.stage.server, house.stage.server_addresses, stack)

    def spale(self, words, *more):
        """Run a command; return what it printed. Raise ProcessFailedError."""
        command = (*words.split(), *map(str, more), "--config", str(self.change.path))
        return run_tool(self.house.stage.server, "spale_core.cli.main", *command)

    def json(self, words, *more):
        """Return what it prints with --json."""
        return json.loads(self.spale(words, *more, "--json"))

    def fails(self, words, *more):
        """Return the exit code and the sentence of a command that cannot."""
        with pytest.raises(ProcessFailedError) as failed:
            self.spale(words, *more)
        return failed.value.exit_code, str(failed.value)

    def of(self, guest, what="authorized"):
        """Return the rows of a list that are about `guest`."""
        return [row for row in self.json(f"list {what}") if row["source"] == str(guest)]

    def as_member(self, words, gid):
        """Run a command as somebody whose group is `gid`; return exit code, output and sentence."""
        become = [word.replace(f"--regid={SOMEBODY}", f"--regid={gid}") for word in somebody()]
        # The file of the configuration is root's alone.
        socket = ("--socket", str(self.house.config["SOCKET"]))
        command = [*become, *python("spale_core.cli.main", *words.split(), *socket)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def office(tc_hall):
    """Return an office that all tests here share; each guest has an address of its own."""
    with ExitStack() as stack:
        yield Office(tc_hall, stack)


@pytest.fixture
def line(office):
    """Return a guest whom anna let in, and the connection that he has open."""
    guest = office.house.guest(6)
    office.house.let_in("anna", guest)
    return guest, office.desk.call(guest)


def test_lists(office, line):
    """Each list is printed within 80 columns."""
    assert line
    for name in LISTINGS:
        text = office.spale(f"list {name}")
        assert text, name
        assert max(map(len, text.splitlines())) <= 80


def test_manage(office):
    """The original's way to ask."""
    assert office.spale("--manage list ports") == office.spale("list ports")


def test_who_is_let_in(office, line):
    """His grants, his connection, his client, the ports; what a stranger met."""
    guest, call = line
    granted = office.of(guest)
    assert {row["service"] for row in granted} == {str(service) for service in (*ALL, DESK)}
    assert {row["client"] for row in granted} == {"anna"}
    assert str(guest) in office.spale("list authorized")
    (session,) = office.of(guest, "sessions")
    assert (session["source_port"], session["state"]) == (call.connection.source_port, "open")
    assert session["owners"] == ["anna"]
    clients = {row["name"]: row for row in office.json("list clients")}
    assert clients["anna"]["holds"] >= 1
    assert clients["usher"]["services"] == ["22/tcp"]
    ports = {row["service"]: row for row in office.json("list ports")}
    assert ports[str(DESK)]["sessions"] >= 1
    assert office.json("list allowlist")[0] == {"prefix": ALWAYS, "origin": "configuration"}


def test_what_was_dropped(office):
    """A stranger shows, with his reason and address."""
    stranger = office.house.guest(4)
    assert office.house.all_shut([stranger], [SSH])

    def last():
        return {row["reason"]: row["last_source"] for row in office.json("list dropped")}.get("no_grant")

    assert until(lambda: last() == str(stranger), LOG_S)
    assert "has no grant, nor a session" in " ".join(office.spale("list dropped").split())


def test_status(office):
    """It is the daemon that runs."""
    found = office.json("status")
    assert (found["pid"], found["dataplane"]) == (
        int(office.house.daemon.events("ready")[0]["pid"]),
        "tc",
    )
    assert all(interface["attached"] for interface in found["interfaces"])
    assert f"process {found['pid']}" in " ".join(office.spale("status").split())


def test_authorize(office):
    """By hand an address gets in, to some ports or all, as long as is said; and is shut out again."""
    guests = office.house.guests()
    for guest in guests:
        said = office.spale("authorize add --ports 22/tcp --idle-sec 600 --ip", guest)
        assert said == f"{guest} is authorized for 22/tcp\n"
        (row,) = office.of(guest)
        assert (row["client"], row["service"], row["idle_s"]) == (None, "22/tcp", 600)
    assert office.house.all_open(guests, [SSH])
    assert office.house.all_shut(guests, [Service(Protocol.TCP, 6000)])
    for guest in guests:
        assert office.json("authorize del --ip", guest)["ended"] == 1
        assert office.of(guest) == []
    assert office.house.all_shut(guests, [SSH])


def test_allowlist(office):
    """A prefix needs no knock until it is taken away; one of the configuration cannot be."""
    guest = office.house.guest(4)
    office.spale(f"allowlist add {guest}/32")
    assert office.house.all_open([guest], [SSH])
    assert {"prefix": f"{guest}/32", "origin": "manual"} in office.json("list allowlist")
    office.spale(f"allowlist del {guest}/32")
    assert office.house.all_shut([guest], [SSH])
    code, said = office.fails(f"allowlist del {ALWAYS}")
    assert code in {os.EX_USAGE, os.EX_DATAERR}
    assert "ALWAYS_ALLOW" in said


def test_revoke(office, line):
    """What the client has ends at once, its connections too; one who is not there is no client."""
    guest, call = line
    found = office.json("revoke --client anna")
    assert found["ended"] >= 1
    assert found["sessions"] >= 1
    assert office.of(guest) == []
    assert call.is_cut()
    code, said = office.fails("revoke --client nobody-of-that-name")
    assert code == os.EX_DATAERR
    assert "nobody-of-that-name" in said


def test_explain(office, line):
    """The verdict that the packet would meet, and why; asking changes nothing."""
    guest, call = line
    stranger = office.house.guest(4)
    before = office.of(guest, "sessions"), [row["service"] for row in office.of(guest)]
    (known,) = office.json(f"explain {guest} {DESK}")["services"]
    new, old = known["packets"]
    assert (new["packet"], new["verdict"], new["by"]) == ("syn", "pass", "live")
    assert (old["packet"], old["verdict"]) == ("ack", "pass")
    assert old["source_port"] == call.connection.source_port
    assert [share["client"] for share in known["shares"]] == ["anna"]
    (unknown,) = office.json(f"explain {stranger} 22/tcp")["services"]
    assert {(packet["verdict"], packet["reason"]) for packet in unknown["packets"]} == {("drop", "no_grant")}
    assert {"anna", "usher"} <= set(unknown["may"])
    assert f"{ALWAYS} (configuration)" in office.spale("explain 203.0.113.77 22/tcp")
    assert "granted to anna" in office.spale(f"explain {guest} 22/tcp")
    after = office.of(guest, "sessions"), [row["service"] for row in office.of(guest)]
    assert [row["source_port"] for row in after[0]] == [row["source_port"] for row in before[0]]
    assert after[1] == before[1]


def test_explain_what_cannot_be(office):
    """What is no address, and a link-local one without its interface; exit 64."""
    for source in ("nonsense", "fe80::7"):
        code, said = office.fails(f"explain {source} 22/tcp")
        assert (code, said.count("\n")) == (os.EX_USAGE, 0)


def test_reload(office):
    """It is in force when the command is back; a mistake changes nothing, and is named with its line."""
    office.change.write(USHER_PORTS="6000/tcp")
    assert "in force after" in office.spale("reload")
    clients = {row["name"]: row for row in office.json("list clients")}
    assert clients["usher"]["services"] == ["6000/tcp"]
    office.change.write(IDLE_SEC="x", GRACE_SEC="y")
    code, said = office.fails("reload")
    assert code == os.EX_CONFIG
    assert said.startswith("spale: nothing was changed:\n")
    assert [key in said for key in ("IDLE_SEC: ", "GRACE_SEC: ")] == [True, True]
    assert "failed" in office.spale("status")
    office.change.write()
    assert office.json("reload")["log_only"] is False


def test_members_of_the_group_may_look(office):
    """And change nothing; others may not even look. One sentence each, exit 77."""
    code, text, _ = office.as_member("list ports", GROUP.gr_gid)
    assert (code, text.startswith("SERVICE")) == (0, True)
    for words, gid in (("reload", GROUP.gr_gid), ("status", SOMEBODY), ("confirm", GROUP.gr_gid)):
        code, text, said = office.as_member(words, gid)
        assert (code, text, said.count("\n")) == (os.EX_NOPERM, "", 1), said


def test_confirm_without_a_trial(office):
    """There is nothing to keep; exit 64."""
    code, said = office.fails("confirm")
    assert (code, said.count("\n")) == (os.EX_USAGE, 0)


def test_what_was_done_by_hand_survives_a_restart(office):
    """Grants and prefixes; and a trial that was confirmed goes on."""
    house, (guest, neighbour) = office.house, office.house.guests()
    office.spale("authorize add --idle-sec 600 --ip", guest)
    office.spale("allowlist add", f"{neighbour}/128")
    house.daemon.stop()
    house.start("--trial", "60").wait_for("ready", timeout_s=START_S)
    assert house.all_open([guest, neighbour], [SSH])
    assert {row["client"] for row in office.of(guest)} == {None}
    left_s = office.json("status")["trial_left_s"]
    assert 0 < left_s <= 60
    assert office.spale("confirm") == "confirmed: the daemon goes on\n"
    assert office.json("status")["trial_left_s"] is None


def test_after_detach_nobody_answers(office):
    """The daemon that guards nothing ends; then every command says that there is none, exit 69."""
    run_tool(office.house.stage.server, "spale_core.cli.main", "detach")
    assert until(lambda: office.house.daemon.exit_code is not None, NOTICED_S)
    begun = time.monotonic()
    for words in ("status", "list ports", "reload", "explain 192.0.2.1 22"):
        code, said = office.fails(words)
        assert (code, said.count("\n")) == (os.EX_UNAVAILABLE, 0)
        assert "no daemon is running at" in said
    assert time.monotonic() - begun < 20
