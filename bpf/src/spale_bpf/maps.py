# SPDX-License-Identifier: MIT
"""The policy's maps: the half of a dataplane that is the same wherever the program hangs."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from attrs import define, field

from spale_bpf import _abi, codec, libbpf
from spale_bpf.browse import browse
from spale_bpf.tag_map import TagMap
from spale_core.errors import DataplaneError
from spale_core.model import Counter, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Bucket, Grant, KernelTag, Network, Service, Source

_FULL = (errno.E2BIG, errno.ENOSPC, errno.ENOMEM)


@define
class Table:
    """A map of which user space is the only writer of keys; changes can be taken back."""

    name: str
    fd: int

    @property
    def shape(self) -> _abi.MapShape:
        """Return the sizes of its keys and values."""
        return _abi.MAPS[self.name]

    def put(self, key: bytes, value: bytes, undo: ExitStack) -> None:
        """Set `key`, and tell `undo` how to bring back what was there.

        Raise DataplaneError; a full map is named, since the operator can size it.
        """
        before = libbpf.map_lookup(self.fd, key, self.shape.value_size)
        try:
            libbpf.map_update(self.fd, key, value)
        except libbpf.LibbpfError as error:
            if error.number in _FULL:
                raise DataplaneError(f"the map {self.name} is full") from error
            raise
        if before is None:
            undo.callback(libbpf.map_delete, self.fd, key)
        else:
            undo.callback(libbpf.map_update, self.fd, key, before)

    def drop(self, key: bytes, undo: ExitStack) -> None:
        """Remove `key` if it is there, and tell `undo` how to bring it back."""
        before = libbpf.map_lookup(self.fd, key, self.shape.value_size)
        if before is not None and libbpf.map_delete(self.fd, key):
            undo.callback(libbpf.map_update, self.fd, key, before)

    def become(self, wanted: Mapping[bytes, bytes]) -> None:
        """Hold exactly `wanted`: adds first, then removes, or changes nothing and raises DataplaneError."""
        with all_or_none() as undo:
            self.change(wanted, undo)

    def change(self, wanted: Mapping[bytes, bytes], undo: ExitStack) -> None:
        """Do the same, and tell `undo` how to bring back what was there."""
        for key, value in wanted.items():
            self.put(key, value, undo)
        for key in set(libbpf.map_keys(self.fd, self.shape.key_size)) - wanted.keys():
            self.drop(key, undo)


@contextmanager
def all_or_none() -> Iterator[ExitStack]:
    """Run a block of changes; if it raises, run what it has told the stack, newest first."""
    with ExitStack() as undo:
        yield undo
        undo.pop_all()


@define
class _CpuCounter:
    """What was seen last of one reason: the count on every CPU, and the last source."""

    counts: list[int] = field(factory=list)
    last_source: Source | None = None


class PolicyMaps:
    """Services, tags, grants, prefixes and counters, in maps that `map_fd` finds by name."""

    def __init__(self, map_fd: Callable[[str], int], settings: DataplaneSettings) -> None:
        """Write the settings into maps that are new; nothing is protected but the SPA port."""
        self._settings = settings
        self._settings_fd = map_fd("spale_settings")
        self._services_fd = map_fd("spale_services")
        self._counters_fd = map_fd("spale_counters")
        self._grants = Table("spale_grants", map_fd("spale_grants"))
        self._tags = TagMap(map_fd("spale_tags"), map_fd("spale_tag_filter"))
        self._v1_tags = Table("spale_v1_tags", map_fd("spale_v1_tags"))
        self._allow = Table("spale_allow", map_fd("spale_allow"))
        self._buckets_fd = map_fd("spale_buckets")
        self._v1_buckets_fd = map_fd("spale_v1_buckets")
        self._service_bits: dict[int, int] = {}
        self._counted: dict[Reason, _CpuCounter] = {}
        self._write_settings(always_allow=False)
        self.set_services(())

    def set_services(self, services: Iterable[Service]) -> None:
        """Protect exactly `services`; what is new is protected before what is old is opened."""
        wanted = codec.service_bits(services, self._settings.spa_port)
        changed = {**dict.fromkeys(self._service_bits, 0), **wanted}
        with all_or_none() as undo:
            for port in sorted(changed, key=lambda port: port not in wanted):
                key, before = codec.index(port), self._service_bits.get(port, 0)
                libbpf.map_update(self._services_fd, key, codec.index(changed[port]))
                undo.callback(libbpf.map_update, self._services_fd, key, codec.index(before))
        self._service_bits = wanted

    def set_always_allow(self, prefixes: Iterable[Network]) -> None:
        """Let exactly these prefixes in without a knock."""
        wanted = {codec.allow_key(prefix): codec.ALLOWED for prefix in prefixes}
        self._allow.become(wanted)
        self._write_settings(always_allow=bool(wanted))

    def set_tags(self, tags: Iterable[KernelTag]) -> None:
        """Recognise exactly `tags`; new ones are added before old ones are removed."""
        with_mac, v1 = [], {}
        for tag in tags:
            if tag.mac_key:
                with_mac.append(tag)
            else:
                v1[tag.tag] = codec.v1_tag_value(tag)
        with all_or_none() as undo:
            self._v1_tags.change(v1, undo)
            self._tags.become(with_mac)

    def allow(self, grants: Sequence[Grant]) -> None:
        """Install or replace `grants`, all or none.

        Raise DataplaneError, after putting back what was there, if the map is full.
        """
        with all_or_none() as undo:
            for grant in grants:
                self._grants.put(codec.grant_key(grant.source, grant.service), codec.grant_value(grant), undo)

    def revoke(self, keys: Iterable[tuple[Source, Service]]) -> None:
        """Remove the grants of `keys`; one that is not there is no error."""
        with all_or_none() as undo:
            for source, service in keys:
                self._grants.drop(codec.grant_key(source, service), undo)

    def installed(self) -> list[Grant]:
        """Return the grants in the kernel, with `last_ns` as packets have moved it."""
        shape = self._grants.shape
        items = libbpf.map_items(self._grants.fd, shape.key_size, shape.value_size)
        # A walk may meet an entry twice while others come and go.
        return [codec.grant(key, value) for key, value in dict(items).items()]

    def browse_grants(self) -> Iterator[Grant]:
        """Return the grants in the kernel, a few per system call."""
        return (codec.grant(key, value) for key, value in browse(self._grants.fd, self._grants.shape))

    def buckets(self) -> Iterator[Bucket]:
        """Return the sources whose datagrams were counted, a few per system call."""
        found = browse(self._buckets_fd, _abi.MAPS["spale_buckets"])
        v1 = browse(self._v1_buckets_fd, _abi.MAPS["spale_v1_buckets"])
        return chain(
            (codec.bucket(key, value) for key, value in found),
            (codec.v1_bucket(key, value) for key, value in v1),
        )

    def counters(self) -> dict[Reason, Counter]:
        """Return what was counted by reason, summed over the CPUs.

        The last source is that of a CPU on which the reason occurred since the previous call, if any.
        """
        found = {}
        for number, reason in codec.counted().items():
            seen = self._counted.setdefault(reason, _CpuCounter())
            cpus = [codec.counter(value) for value in self._counter_values(number)]
            for cpu, before in zip(cpus, seen.counts or [0] * len(cpus), strict=True):
                if cpu.count != before:
                    seen.last_source = cpu.last_source
            seen.counts = [cpu.count for cpu in cpus]
            if any(seen.counts):
                found[reason] = Counter(sum(seen.counts), seen.last_source)
        return found

    def _counter_values(self, number: int) -> list[bytes]:
        size = _abi.MAPS["spale_counters"].value_size
        return libbpf.map_lookup_percpu(self._counters_fd, codec.index(number), size)

    def _write_settings(self, *, always_allow: bool) -> None:
        value = codec.settings(self._settings, always_allow=always_allow)
        libbpf.map_update(self._settings_fd, codec.index(0), value)
