# SPDX-License-Identifier: MIT
"""What is guarded: all that has a configured name, and what had one when it was attached to."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack, closing

import pytest
from office import SMALL

from spale_core.demo.stage import Namespace
from spale_core.errors import DataplaneError
from spale_core.log import Log
from spale_core.model import Loss, Outcome
from spale_core.monitor import locks
from spale_core.monitor.ground import Ground, find_interfaces
from spale_core.monitor.guard import Guard
from spale_core.testing import FakeClock, FakeDataplane

pytestmark = pytest.mark.kernel

DOOR, GATE = "door0", "gate0"


class Dataplane(FakeDataplane):
    """A fake that may fail as it is told to."""

    attach_fails = ensure_fails = False
    more = ()

    def attach(self, interfaces):
        """Attach, or fail."""
        if self.attach_fails:
            raise DataplaneError("no room\nand more")
        return super().attach(interfaces)

    def ensure(self):
        """Look, or fail."""
        if self.ensure_fails:
            raise DataplaneError("nobody can look")
        gone = [each for each in self._attached if not _is_there(each.ifindex)]
        for attachment in gone:
            self.vanish(attachment.interface)
        return [*super().ensure(), *self.more]


def _is_there(number):
    try:
        return bool(socket.if_indextoname(number))
    except OSError:
        return False


class Post:
    """A guard in a namespace, and what it said."""

    def __init__(self, namespace, folder, stack, names):
        """Attach to those of `names` that are there; the test's thread is in the namespace."""
        self._netlink = namespace._netlink
        self.lines = []
        clock = FakeClock()
        log = Log(lambda _, line: self.lines.append(line.partition(" time=")[0]), clock, "debug")
        log.interfaces = find_interfaces(names, wait=True)
        held = stack.enter_context(locks.held(log.interfaces, None, folder))
        self.ground = Ground(clock, log, None, None, None, None, None, (), None, held)
        self.dataplane = Dataplane(SMALL, clock, number_of=socket.if_nametoindex)
        self.guard = Guard(self.ground, names, self.dataplane)
        self.guard.attach(list(log.interfaces.values()))

    def make(self, name):
        """Make an interface; return its number."""
        self._netlink.link("add", ifname=name, kind="veth")
        return socket.if_nametoindex(name)

    def delete(self, name):
        """Delete one."""
        self._netlink.link("del", index=socket.if_nametoindex(name))

    def rename(self, before, after):
        """Call one otherwise."""
        self._netlink.link("set", index=socket.if_nametoindex(before), ifname=after)

    def look(self):
        """Look once; return what was said."""
        self.lines.clear()
        self.guard.look()
        return list(self.lines)

    @property
    def where(self):
        """Return where we are."""
        return {each.interface: each.ifindex for each in self.guard.attachments}


@pytest.fixture
def post(tmp_path):
    """Return a guard of two interfaces, of which one is there."""
    with closing(Namespace()) as namespace, namespace.inside(), ExitStack() as stack:
        namespace._netlink.link("add", ifname=DOOR, kind="veth")
        made = Post(namespace, tmp_path / "run" / "locks", stack, (DOOR, GATE))
        made.folder = tmp_path / "run" / "locks"
        yield made


def test_what_is_in_order_stays_as_it_is(post):
    """Nothing is said, nothing attached to again."""
    before = post.where
    assert post.look() == []
    assert post.where == before == {DOOR: socket.if_nametoindex(DOOR)}
    assert post.guard.waiting == (GATE,)


def test_what_comes_is_guarded(post):
    """It is said like an attachment at the start, and everybody knows its number."""
    number = post.make(GATE)
    assert post.look() == [f"attach interface={GATE} mode=tcx replaced=no"]
    assert post.where[GATE] == number
    assert post.ground.interfaces[number] == GATE
    assert post.guard.waiting == ()


def test_a_second_name_is_as_good_as_the_first(post):
    """Configured by an alternative name, it is told of by its own."""
    post.make("other0")
    post._netlink.link("property_add", index=socket.if_nametoindex("other0"), altname=GATE)
    assert post.look() == ["attach interface=other0 mode=tcx replaced=no"]
    assert post.look() == []
    assert post.guard.unguarded == ()


def test_what_goes_is_waited_for(post):
    """It is said once; its lock goes, and the one that comes has its own."""
    before = set(post.folder.iterdir())
    post.delete(DOOR)
    assert post.look() == [f"interface_gone interface={DOOR}"]
    assert post.look() == []
    assert (post.where, post.ground.interfaces, post.guard.waiting) == ({}, {}, (DOOR, GATE))
    assert list(post.folder.iterdir()) == []
    assert not post.guard.has_nothing_left
    number = post.make(DOOR)
    assert post.look() == [f"attach interface={DOOR} mode=tcx replaced=no"]
    assert post.where == {DOOR: number}
    assert not before & set(post.folder.iterdir())


def test_gone_and_there_again_between_two_looks(post):
    """The name says nothing: it is another one."""
    post.delete(DOOR)
    number = post.make(DOOR)
    said = post.look()
    assert [line.partition(" ")[0] for line in said] == ["interface_gone", "attach"]
    assert post.where == {DOOR: number}


def test_a_renamed_one_is_the_same(post):
    """By its present name; who takes its name is guarded, too."""
    number = socket.if_nametoindex(DOOR)
    post.rename(DOOR, "other0")
    assert post.look() == [f"interface_renamed interface=other0 before={DOOR}"]
    assert post.where == {"other0": number}
    assert post.guard.waiting == (DOOR, GATE)
    post.make(DOOR)
    post.look()
    assert post.where.keys() == {"other0", DOOR}
    post.rename("other0", GATE)
    post.look()
    assert post.where.keys() == {DOOR, GATE}


def test_one_that_cannot_be_attached_to_is_tried_again(post):
    """It is an error in the log, once, and `missing` until it works."""
    post.dataplane.attach_fails = True
    post.make(GATE)
    line = f'attachment_lost interface={GATE} found=nothing put_back=no count=1 note="no room"'
    assert post.look() == [line]
    assert post.look() == []
    assert post.guard.missing == {GATE}
    post.dataplane.attach_fails = False
    assert post.look() == [f"attach interface={GATE} mode=tcx replaced=no"]
    assert post.guard.missing == set()


def test_one_that_another_daemon_guards_is_its(post):
    """The lock decides, as at a start."""
    number = post.make(GATE)
    with locks.held({number: GATE}, "other", post.folder):
        (line,) = post.look()
        assert "another daemon guards gate0" in line
        assert GATE not in post.where
    post.look()
    assert GATE in post.where


def test_a_lock_that_cannot_be_had_opens_nothing(post):
    """Somebody has removed the folder: that is said, and the interface is guarded."""
    shutil.rmtree(post.folder)
    post.make(GATE)
    said = post.look()
    assert [line.partition(" ")[0] for line in said] == ["error", "attach"]
    assert GATE in post.where


def test_what_was_released_stays_open(post):
    """Also when it comes anew; and what is not released is waited for."""
    number = post.where[DOOR]
    post.dataplane.more = (Loss(DOOR, number, "nothing", Outcome.RELEASED),)
    assert post.look() == [f"detach interface={DOOR}"]
    post.dataplane.more = ()
    assert (post.where, post.guard.waiting) == ({}, (GATE,))
    post.delete(DOOR)
    post.make(DOOR)
    post.look()
    assert post.where == {}
    assert not post.guard.has_nothing_left
    after = Guard(post.ground, (DOOR,), post.dataplane)
    after.follow(post.guard)
    assert after.has_nothing_left


def test_a_look_that_fails_attaches_all_the_same(post):
    """What was attached cannot be read back; what has come is shut."""
    post.dataplane.ensure_fails = True
    post.make(GATE)
    with pytest.raises(DataplaneError):
        post.guard.look()
    assert post.where.keys() == {DOOR, GATE}


def test_detaching_says_what_is_open(post):
    """By its name of now."""
    post.rename(DOOR, "other0")
    post.look()
    post.lines.clear()
    post.guard.detach()
    assert post.lines == ["detach interface=other0"]
    assert post.guard.attachments == []
