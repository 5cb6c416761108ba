# SPDX-License-Identifier: MIT
"""A dataplane without a kernel: the rule for packets in Python (spec.md, "The packet's way in")."""

from __future__ import annotations

import itertools
from ipaddress import ip_address
from typing import TYPE_CHECKING

from attrs import evolve

from spale_core.errors import DataplaneError
from spale_core.model import (
    NEVER_NS,
    Attachment,
    AttachMode,
    Bucket,
    Connection,
    Counter,
    Loss,
    Outcome,
    Protocol,
    Reason,
)
from spale_core.testing.fake_sessions import FakeSessions
from spale_core.testing.packet import Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spale_core.clock import Clock
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Address, Grant, KernelTag, Network, Service, Source


_HERE = ip_address("192.0.2.1")
_SOURCE_PORT = 40000


class FakeDataplane(FakeSessions):
    """A `spale_core.interfaces.Dataplane` that judges the packets a test gives it.

    `host` has what is attached to each interface, whoever attached it; give one to several fakes to let the
    later take over. `left` is the earlier one whose grants and sessions it finds. An interface whose name
    begins with ``missing`` is not there.
    """

    def __init__(
        self,
        settings: DataplaneSettings,
        clock: Clock,
        host: dict[str, Attachment] | None = None,
        number_of: Callable[[str], int] | None = None,
    ) -> None:
        """Begin with nothing protected, nothing granted, nothing attached by this one.

        ``number_of(name)`` is the interface's; without it they are counted.
        """
        super().__init__(settings)
        self.host: dict[str, Attachment] = {} if host is None else host
        self._settings = settings
        self._clock = clock
        self._grants: dict[tuple[Source, Service], Grant] = {}
        self._counters: dict[Reason, Counter] = {}
        self._always: tuple[Network, ...] = ()
        self.services: frozenset[Service] = frozenset()
        self.tags: frozenset[KernelTag] = frozenset()
        self.knocked: dict[Source, int] = {}
        numbers = itertools.count(1)
        self._number_of = number_of or (lambda _: next(numbers))
        self._attached: list[Attachment] = []
        self._gone: list[Attachment] = []
        self.left: FakeDataplane | None = None

    def set_services(self, services: Iterable[Service]) -> None:
        """Protect exactly `services`."""
        self.services = frozenset(services)

    def set_always_allow(self, prefixes: Iterable[Network]) -> None:
        """Let exactly these prefixes in without a knock."""
        self._always = tuple(prefixes)

    def set_tags(self, tags: Iterable[KernelTag]) -> None:
        """Recognise exactly `tags`."""
        wanted = frozenset(tags)
        v1 = {tag.tag for tag in self.tags | wanted if not tag.mac_key}
        if len({tag for tag in self.tags | wanted if tag.mac_key}) > self._settings.max_tags:
            raise DataplaneError("too many tags")
        if len(v1) > self._settings.max_v1_tags:
            raise DataplaneError("too many tags without a mac")
        self.tags = wanted

    def allow(self, grants: Sequence[Grant]) -> None:
        """Install or replace `grants`, all or none."""
        new = {(grant.source, grant.service): grant for grant in grants}
        if len(self._grants | new) > self._settings.max_grants:
            raise DataplaneError("too many grants")
        self._grants.update(new)

    def revoke(self, keys: Iterable[tuple[Source, Service]]) -> None:
        """Remove the grants of `keys`."""
        for key in keys:
            self._grants.pop(key, None)

    def installed(self) -> Iterable[Grant]:
        """Return the grants, with `last_ns` as packets have moved it."""
        return list(self._grants.values())

    def counters(self) -> Mapping[Reason, Counter]:
        """Return what was counted, by reason."""
        return dict(self._counters)

    def browse_grants(self) -> Iterator[Grant]:
        """Return the grants."""
        return iter(list(self.installed()))

    def buckets(self) -> Iterator[Bucket]:
        """Return whose knocks a test has counted."""
        return iter([Bucket(source, full_ns) for source, full_ns in self.knocked.items()])

    def predecessor(self, _interfaces: Sequence[str]) -> FakeDataplane | None:
        """Return the earlier one that a test has given it."""
        return self.left

    def grants(self) -> Iterable[Grant]:
        """Return what a later one finds."""
        return self.installed()

    def attach(self, interfaces: Sequence[str]) -> Sequence[Attachment]:
        """Be on `interfaces` too, all or none, in place of what is there."""
        if any(name.startswith("missing") for name in interfaces):
            raise DataplaneError("no such interface")
        made = []
        for name in interfaces:
            made.append(Attachment(name, self._number_of(name), AttachMode.TCX, replaced=name in self.host))
            self._attached.append(made[-1])
        self.host.update((attachment.interface, attachment) for attachment in made)
        return made

    def vanish(self, interface: str) -> None:
        """Let an interface be gone, and what was attached to it."""
        self.host.pop(interface, None)
        self._gone += [each for each in self._attached if each.interface == interface]
        self._attached = [each for each in self._attached if each.interface != interface]

    def ensure(self) -> Sequence[Loss]:
        """Be again where one was taken off, but not in place of a later one, and forget what is gone."""
        gone, self._gone = self._gone, []
        lost = [Loss(each.interface, each.ifindex, "no such interface", Outcome.GONE) for each in gone]
        return [*lost, *(loss for loss in map(self._ensure, self._attached) if loss is not None)]

    def _ensure(self, attachment: Attachment) -> Loss | None:
        name = attachment.interface
        here = self.host.get(name)
        if here is attachment:
            return None
        if here is not None:
            return Loss(name, attachment.ifindex, "another one", Outcome.FAILED)
        self.host[name] = attachment
        return Loss(name, attachment.ifindex, "nothing", Outcome.PUT_BACK)

    def detach(self) -> None:
        """Be nowhere, unless a later one has taken over."""
        for attachment in self._attached:
            if self.host.get(attachment.interface) is attachment:
                del self.host[attachment.interface]
        self._attached = []

    def close(self) -> None:
        """Do nothing: what is attached stays so."""

    def receive(
        self,
        source: Source,
        service: Service,
        packet: Packet = Packet.NEW,
        source_port: int = _SOURCE_PORT,
        destination: Address = _HERE,
    ) -> bool:
        """Judge a packet from `source` to `service` now; return whether it passes."""
        if service not in self.services or self._is_always_allowed(source):
            return True
        now_ns = self._clock.monotonic_ns()
        connection = Connection(source, service, destination, source_port)
        grant = self._grants.get((source, service))
        reason = judge(grant, packet, now_ns)
        if reason is None and grant is not None:
            self._grants[source, service] = evolve(grant, last_ns=now_ns)
            if service.protocol is Protocol.TCP and not self.follow(connection, packet, now_ns):
                self.count(Reason.UNTRACKED, source)
        elif reason is not None and not self.let_in(connection, packet, now_ns):
            self.count(reason, source)
            return self._settings.log_only
        return True

    def count(self, reason: Reason, source: Source) -> None:
        """Count a packet, as the kernel would."""
        before = self._counters.get(reason, Counter(0, None))
        self._counters[reason] = Counter(before.count + 1, source)

    def _is_always_allowed(self, source: Source) -> bool:
        return any(source.address in prefix for prefix in self._always)


def judge(grant: Grant | None, packet: Packet, now_ns: int) -> Reason | None:
    """Return why a packet is dropped at `now_ns`, None if it passes and moves ``last_ns``."""
    age_ns = max(0, now_ns - grant.last_ns) if grant else 0
    dead = grant is None or (grant.end_ns != NEVER_NS and now_ns >= grant.end_ns)
    if grant is not None and not dead and age_ns <= grant.idle_ns:
        return None
    if packet is Packet.ODD:
        return Reason.BAD_FLAGS
    if grant is not None and not dead and age_ns <= grant.grace_ns:
        return None if packet is Packet.NEW else Reason.GRANT_GRACE
    return Reason.NO_GRANT if grant is None else Reason.GRANT_DEAD
