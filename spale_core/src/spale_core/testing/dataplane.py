# SPDX-License-Identifier: MIT
"""What every dataplane promises, apart from what it does to packets."""

from __future__ import annotations

from contextlib import closing
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from unittest import SkipTest

from attrs import evolve

from spale_core.errors import DataplaneError
from spale_core.interfaces import DataplaneSettings
from spale_core.model import NEVER_NS, Grant, KernelTag, Outcome, Protocol, Service, Source
from spale_core.testing.promise import holds, raises, same
from spale_core.testing.session import SessionContract

if TYPE_CHECKING:
    from spale_core.interfaces import Dataplane

SETTINGS = DataplaneSettings(
    spa_port=55555, rate=3, burst=3, max_grants=4, max_sources=16, max_tags=4, log_only=False
)

SSH = Service(Protocol.TCP, 22)
WIREGUARD = Service(Protocol.UDP, 51820)
_SECOND_NS = 1_000_000_000


def a_grant(source: str = "192.0.2.7", service: Service = SSH, ifindex: int = 0) -> Grant:
    """Return a grant of a minute that begins after one second of the kernel's time."""
    return Grant(
        source=Source(ip_address(source), ifindex),
        service=service,
        last_ns=_SECOND_NS,
        idle_ns=60 * _SECOND_NS,
        grace_ns=300 * _SECOND_NS,
        end_ns=3600 * _SECOND_NS,
    )


def a_tag(number: int) -> KernelTag:
    """Return a tag that is valid for the first minute of the kernel's time."""
    return KernelTag(bytes([number] * 8), bytes([number] * 16), 0, 60 * _SECOND_NS)


class DataplaneContract(SessionContract):
    """Derive from this, and say in `make` how your dataplane is made.

    `interface` is the name of an interface that it may attach to, None if there is none: then what needs one
    is skipped. `other_interface` is one more, which `remove` makes disappear, if that can be.
    """

    interface: str | None = None
    other_interface: str | None = None

    def make(self, settings: DataplaneSettings) -> Dataplane:
        """Return a dataplane that is new: nothing granted, nothing attached."""
        raise NotImplementedError

    def remove(self, dataplane: Dataplane, interface: str) -> None:
        """Make `interface`, which `dataplane` is attached to, disappear."""
        raise NotImplementedError

    def test_a_new_one_has_no_grants(self) -> None:
        """Nobody is let in before anything was granted."""
        with closing(self.make(SETTINGS)) as dataplane:
            same(list(dataplane.installed()), [], "a new dataplane has no grants")

    def test_what_is_allowed_is_installed(self) -> None:
        """Grants come back as they were given: both families, both protocols, an interface, no end."""
        endless = evolve(a_grant("2001:db8::7"), idle_ns=NEVER_NS, grace_ns=NEVER_NS, end_ns=NEVER_NS)
        grants = [a_grant(), a_grant(service=WIREGUARD), endless, a_grant("fe80::7", ifindex=3)]
        with closing(self.make(SETTINGS)) as dataplane:
            dataplane.allow(grants)
            same(set(dataplane.installed()), set(grants), "installed() returns what was allowed")

    def test_what_is_installed_can_be_browsed(self) -> None:
        """The same, piece by piece, also after the end of the one who is asked."""
        grants = [a_grant(f"192.0.2.{host}") for host in range(1, 5)]
        with closing(self.make(SETTINGS)) as dataplane:
            same(list(dataplane.browse_grants()), [], "a new dataplane has no grants")
            dataplane.allow(grants)
            same(set(dataplane.browse_grants()), set(grants), "browse_grants() returns what was allowed")
            browsed = dataplane.browse_grants()
        same(set(browsed), set(grants), "what is browsed can be read on")

    def test_nobody_knocked_at_first(self) -> None:
        """No bucket counts anything."""
        with closing(self.make(SETTINGS)) as dataplane:
            same(list(dataplane.buckets()), [], "a new dataplane has counted no knocks")

    def test_allowing_again_replaces(self) -> None:
        """One source and service has one grant, the latest."""
        later = evolve(a_grant(), last_ns=2 * _SECOND_NS)
        with closing(self.make(SETTINGS)) as dataplane:
            dataplane.allow([a_grant()])
            dataplane.allow([later])
            dataplane.allow([later])
            same(list(dataplane.installed()), [later], "the latest grant replaces the earlier one")

    def test_a_full_one_allows_all_or_none(self) -> None:
        """What does not fit is refused as a whole; what was there stays, and may still be replaced."""
        there = [a_grant(f"192.0.2.{host}") for host in range(1, 4)]
        too_many = [a_grant(f"198.51.100.{host}") for host in range(1, 3)]
        with closing(self.make(SETTINGS)) as dataplane:
            dataplane.allow(there)
            raises(DataplaneError, lambda: dataplane.allow(too_many), "a full dataplane refuses")
            same(set(dataplane.installed()), set(there), "a refused call changes nothing")
            dataplane.allow(there)

    def test_revoking_removes(self) -> None:
        """What is revoked is gone, the rest stays, and revoking what is not there is no error."""
        other = a_grant("192.0.2.8")
        with closing(self.make(SETTINGS)) as dataplane:
            dataplane.allow([a_grant(), other])
            for _ in range(2):
                dataplane.revoke([(a_grant().source, SSH)])
                same(list(dataplane.installed()), [other], "revoke() removes exactly what it names")

    def test_the_same_may_be_set_again(self) -> None:
        """Services, tags and prefixes are sets: the same again, others, or none are all good."""
        prefixes = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"), ip_network("::/0")]
        with closing(self.make(SETTINGS)) as dataplane:
            for _ in range(2):
                dataplane.set_services([SSH, WIREGUARD])
                dataplane.set_tags([a_tag(1), a_tag(2)])
                dataplane.set_always_allow(prefixes)
            dataplane.set_tags([a_tag(2), a_tag(3)])
            dataplane.set_services([])
            dataplane.set_tags([])
            dataplane.set_always_allow([])

    def test_tags_without_a_mac_have_a_room_of_their_own(self) -> None:
        """They take none of the others', and too many of them are refused."""
        v1 = [KernelTag(a_tag(number).tag, b"", 0, 60 * _SECOND_NS) for number in (1, 2)]
        with closing(self.make(evolve(SETTINGS, max_v1_tags=1))) as dataplane:
            dataplane.set_tags([*map(a_tag, range(1, 5)), v1[0]])
            raises(DataplaneError, lambda: dataplane.set_tags(v1), "too many tags without a mac are refused")
            dataplane.set_tags(v1[:1])

    def test_nothing_is_counted_at_first(self) -> None:
        """A new dataplane has dropped nothing."""
        with closing(self.make(SETTINGS)) as dataplane:
            counters = dataplane.counters()
            holds(all(counter.count == 0 for counter in counters.values()), "a new dataplane counts from 0")

    def test_an_interface_that_is_missing_is_an_error(self) -> None:
        """Attaching to several interfaces of which one is not there attaches to none."""
        with closing(self.make(SETTINGS)) as dataplane:
            names = [name for name in (self.interface, "missing0") if name is not None]
            raises(DataplaneError, lambda: dataplane.attach(names), "a missing interface is an error")
            if self.interface is not None:
                (attachment,) = dataplane.attach([self.interface])
                holds(not attachment.replaced, "a failed attach leaves nothing attached")
                dataplane.detach()

    def test_a_second_one_takes_over(self) -> None:
        """What is closed stays attached; the next one replaces it and says so; detaching removes it."""
        interface = self._interface()
        with closing(self.make(SETTINGS)) as first:
            (attachment,) = first.attach([interface])
            same((attachment.interface, attachment.replaced), (interface, False), "the first replaces none")
        with closing(self.make(SETTINGS)) as second:
            (attachment,) = second.attach([interface])
            holds(attachment.replaced, "closing does not detach, and the next one takes over")
            second.detach()
        with closing(self.make(SETTINGS)) as third:
            (attachment,) = third.attach([interface])
            holds(not attachment.replaced, "detaching leaves nothing attached")
            third.detach()

    def test_what_is_in_order_is_left_alone(self) -> None:
        """Reading back says nothing where all is as it was attached, and where nothing was."""
        with closing(self.make(SETTINGS)) as dataplane:
            same(list(dataplane.ensure()), [], "nothing attached, nothing lost")
            dataplane.attach([self._interface()])
            same(list(dataplane.ensure()), [], "nothing is lost that is still there")
            dataplane.detach()
            same(list(dataplane.ensure()), [], "what was detached is not lost")

    def test_what_was_taken_off_is_put_back(self) -> None:
        """Two do not fight for an interface; when the later one goes, the earlier one is back."""
        interface = self._interface()
        with closing(self.make(SETTINGS)) as first, closing(self.make(SETTINGS)) as second:
            first.attach([interface])
            second.attach([interface])
            found = [(loss.interface, loss.outcome) for loss in first.ensure()]
            same(found, [(interface, Outcome.FAILED)], "the first says that another has its place")
            same(list(second.ensure()), [], "and leaves that one there")
            second.detach()
            found = [(loss.interface, loss.outcome) for loss in first.ensure()]
            same(found, [(interface, Outcome.PUT_BACK)], "the first is back when the place is free")
            same(list(first.ensure()), [], "and has nothing more to do")
            first.detach()

    def test_another_interface_may_come_later(self) -> None:
        """Attaching once more adds to what is attached; all of it is looked after, and taken off together."""
        interface, other = self._interface(), self._other_interface()
        with closing(self.make(SETTINGS)) as dataplane, closing(self.make(SETTINGS)) as later:
            (first,) = dataplane.attach([interface])
            (second,) = dataplane.attach([other])
            holds(first.ifindex != second.ifindex, "an attachment has the number of its interface")
            same(list(dataplane.ensure()), [], "both are in order")
            dataplane.detach()
            replaced = [each.replaced for each in later.attach([interface, other])]
            later.detach()
        same(replaced, [False, False], "detach() takes it off both")

    def test_an_interface_that_is_gone_is_said_once(self) -> None:
        """It is a loss, by its name and number, and forgotten; what else is attached stays so."""
        interface, other = self._interface(), self._other_interface()
        with closing(self.make(SETTINGS)) as dataplane:
            _, gone = dataplane.attach([interface, other])
            self.remove(dataplane, other)
            found = [(loss.interface, loss.ifindex, loss.outcome) for loss in dataplane.ensure()]
            same(found, [(other, gone.ifindex, Outcome.GONE)], "an interface that is gone is a loss")
            same(list(dataplane.ensure()), [], "and nobody's to look after")
            dataplane.detach()

    def _other_interface(self) -> str:
        if self.other_interface is None:
            raise SkipTest("no second interface to attach to")
        return self.other_interface

    def _interface(self) -> str:
        if self.interface is None:
            raise SkipTest("no interface to attach to")
        return self.interface
