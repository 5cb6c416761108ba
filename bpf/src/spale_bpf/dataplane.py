# SPDX-License-Identifier: MIT
"""A dataplane out of loaded programs, the policy's maps and a hook: what TC and XDP share."""

from __future__ import annotations

import os
from importlib import resources
from typing import TYPE_CHECKING, Protocol

from attrs import evolve

from spale_bpf import _abi, libbpf, predecessor, removal
from spale_bpf import interface as interfaces
from spale_bpf.maps import PolicyMaps
from spale_bpf.pins import Pins
from spale_bpf.refusals import explained
from spale_bpf.release import Release
from spale_bpf.session_maps import SessionMaps
from spale_bpf.takeover import Takeover
from spale_bpf.watch import Watch, Watched
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from spale_bpf.interface import Interface
    from spale_bpf.loadable import Loadable
    from spale_bpf.predecessor import Predecessor
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import (
        Attachment,
        Bucket,
        Counter,
        Grant,
        KernelTag,
        Loss,
        Network,
        Reason,
        Service,
        Session,
        Source,
    )


class Hook(Watched, Protocol):
    """One way to hang a program on an interface, and to see to it that it stays there."""

    @property
    def programs(self) -> Mapping[int, int]:
        """Return descriptors of the programs that it may hang there, by id."""

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang the right one there, in place of one of ours that hangs the same way.

        Tell `takeover` how to take each step back. Raise DataplaneError.
        """


class BpfDataplane:
    """The `spale_core.interfaces.Dataplane` of a loaded object."""

    def __init__(self, loaded: Loadable, settings: DataplaneSettings, hook: Hook) -> None:
        """Own the object `loaded`, whose maps are new; nothing is attached."""
        self._object = loaded
        self._hook = hook
        self._maps = PolicyMaps(loaded.map_fd, settings)
        self._sessions = SessionMaps(loaded.map_fd)
        self._watch = Watch(hook, Release(loaded.map_fd("spale_settings")).is_on)
        self._pins = Pins(settings.pin_dir, wanted=settings.pin_maps, say=settings.say)

    def set_services(self, services: Iterable[Service]) -> None:
        """Protect exactly `services`."""
        self._maps.set_services(services)

    def set_always_allow(self, prefixes: Iterable[Network]) -> None:
        """Let exactly these prefixes in without a knock."""
        self._maps.set_always_allow(prefixes)

    def set_tags(self, tags: Iterable[KernelTag]) -> None:
        """Recognise exactly `tags`; new ones are added before old ones are removed."""
        self._maps.set_tags(tags)

    def allow(self, grants: Sequence[Grant]) -> None:
        """Install or replace `grants`, all or none."""
        self._maps.allow(grants)

    def revoke(self, keys: Iterable[tuple[Source, Service]]) -> None:
        """Remove the grants of `keys`."""
        self._maps.revoke(keys)

    def installed(self) -> Iterable[Grant]:
        """Return the grants in the kernel."""
        return self._maps.installed()

    def sessions(self) -> Iterable[Session]:
        """Return the sessions in the kernel."""
        return self._sessions.sessions()

    def put_sessions(self, sessions: Sequence[Session]) -> None:
        """Install or replace `sessions`, all or none."""
        self._sessions.put_sessions(sessions)

    def change_sessions(self, changes: Iterable[tuple[Session, Session]]) -> None:
        """Put the second of each pair in the place of the first, if that is there and was not restarted."""
        self._sessions.change_sessions(changes)

    def end_sessions(self, sessions: Iterable[Session]) -> None:
        """Remove `sessions`, but none that was restarted since."""
        self._sessions.end_sessions(sessions)

    def set_session_counts(self, counts: Mapping[tuple[Source, Service], int]) -> None:
        """Say how many sessions each source and service holds."""
        self._sessions.set_session_counts(counts)

    def browse_grants(self) -> Iterator[Grant]:
        """Return the grants in the kernel, a few per system call."""
        return self._maps.browse_grants()

    def browse_sessions(self) -> Iterator[Session]:
        """Return the sessions in the kernel, a few per system call."""
        return self._sessions.browse_sessions()

    def buckets(self) -> Iterator[Bucket]:
        """Return whose datagrams the rate limit counts."""
        return self._maps.buckets()

    def counters(self) -> Mapping[Reason, Counter]:
        """Return what was counted, by reason."""
        return self._maps.counters()

    def predecessor(self, names: Sequence[str]) -> Predecessor | None:
        """Return what an earlier daemon left on any of the interfaces, None if nothing that can be read."""
        wanted = interfaces.find_there(names)
        try:
            return predecessor.find(wanted) or self._pins.predecessor(wanted)
        except libbpf.LibbpfError as error:
            raise DataplaneError(f"what an earlier daemon left: {error}") from error

    def attach(self, names: Sequence[str]) -> list[Attachment]:
        """Enforce on these interfaces too, on all, or raise DataplaneError and leave them as they were."""
        wanted = [interfaces.find(name) for name in dict.fromkeys(names)]
        pinned = self._pins.programs(wanted)
        try:
            with Takeover(pinned) as takeover:
                attachments = [self._attach_one(interface, takeover) for interface in wanted]
        finally:
            for descriptor in pinned.values():
                os.close(descriptor)
        self._watch.guard(wanted, attachments)
        self._pins.renew(self._pinned(), self._guarded())
        return attachments

    def ensure(self) -> list[Loss]:
        """Read back every attachment, put back what is lost, and return what was not as it should be."""
        losses = self._watch.look()
        guarded = self._guarded()
        if guarded:
            self._pins.look_after(self._pinned(), guarded)
        return losses

    def detach(self) -> None:
        """Take our program off every interface that `attach` put it on; this opens the ports.

        What a later start has put in its place is not for us to remove.
        """
        guarded = self._watch.guarded
        ours = self._hook.programs
        while guarded:
            removal.remove_if_there(guarded[-1].interface, ours.__contains__, known=ours)
            guarded.pop()
        self._pins.detached()

    def _guarded(self) -> list[Interface]:
        return [each.interface for each in self._watch.guarded]

    def _pinned(self) -> dict[str, int]:
        return {name: self._object.map_fd(name) for name in _abi.MAPS} | self._object.program_fds()

    def _attach_one(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Attach, then remove what else of ours is there: another way of hanging, or another enforcer."""

        def is_older(program_id: int) -> bool:
            return program_id not in self._hook.program_ids and takeover.is_ours(program_id)

        try:
            attachment = self._hook.attach(interface, takeover)
            removed = removal.remove(interface, takeover, is_older)
        except libbpf.LibbpfError as error:
            raise explained(error, interface) from error
        return evolve(attachment, replaced=attachment.replaced or bool(removed))

    def run(self, program: str, frame: bytes) -> int:
        """Run one of its programs on a frame of ours; return what that returns. Raise LibbpfError."""
        return libbpf.prog_test_run(self._object.program_fd(program), frame).retval

    def close(self) -> None:
        """Give up descriptors; what is attached stays attached and goes on enforcing."""
        self._object.close()


def open_object(
    name: str,
    settings: DataplaneSettings,
    has_coarse_clock: Callable[[], bool] = libbpf.coarse_clock_supported,
) -> Loadable:
    """Open the object `name`, sized by `settings` but not loaded. Raise DataplaneError.

    Where the kernel `has_coarse_clock` it is the one that reads that (docs/adr/0057). With LOADER=bcc it is
    compiled here, from the same source (docs/adr/0140).
    """
    if has_coarse_clock():
        name = f"{name}_coarse"
    opened = _compiled(name) if settings.loader == "bcc" else _prebuilt(name)
    opened.set_max_entries("spale_grants", settings.max_grants)
    opened.set_max_entries("spale_sessions", settings.max_sessions)
    opened.set_max_entries("spale_session_counts", settings.max_sessions)
    opened.set_max_entries("spale_buckets", settings.max_sources)
    opened.set_max_entries("spale_tags", settings.max_tags)
    opened.set_max_entries("spale_v1_tags", max(1, settings.max_v1_tags))
    opened.set_max_entries("spale_v1_buckets", settings.max_sources if settings.max_v1_tags else 1)
    return opened


def _compiled(name: str) -> Loadable:
    from spale_bpf.compiled import CompiledObject  # noqa: PLC0415 - few compile

    return CompiledObject.open(name)


def _prebuilt(name: str) -> Loadable:
    file = resources.files("spale_bpf") / "objects" / f"{name}.bpf.o"
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        message = f"{file} has not been built; in a source tree: make -C bpf (needs clang)"
        raise DataplaneError(message) from error
    return libbpf.Object.open(content, name)
