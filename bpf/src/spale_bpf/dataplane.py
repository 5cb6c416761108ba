# SPDX-License-Identifier: MIT
"""A dataplane out of an object file, the policy's maps and a hook: what TC and XDP share."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Protocol

from attrs import evolve

from spale_bpf import interface as interfaces
from spale_bpf import libbpf, removal
from spale_bpf.maps import PolicyMaps
from spale_bpf.ownership import is_ours
from spale_bpf.takeover import Takeover
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spale_bpf.interface import Interface
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Attachment, Counter, Grant, KernelTag, Network, Reason, Service, Source


class Hook(Protocol):
    """One way to hang a program on an interface."""

    program_ids: frozenset[int]
    """The programs that it may hang there."""

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang the right one there, in place of one of ours that hangs the same way.

        Tell `takeover` how to take each step back. Raise DataplaneError.
        """


class BpfDataplane:
    """The `spale_core.interfaces.Dataplane` of a loaded object."""

    def __init__(self, loaded: libbpf.Object, settings: DataplaneSettings, hook: Hook) -> None:
        """Own the object `loaded`, whose maps are new; nothing is attached."""
        self._object = loaded
        self._hook = hook
        self._maps = PolicyMaps(loaded.map_fd, settings)
        self._attached: list[Interface] = []

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

    def counters(self) -> Mapping[Reason, Counter]:
        """Return the drops by reason."""
        return self._maps.counters()

    def attach(self, names: Sequence[str]) -> list[Attachment]:
        """Enforce on all the interfaces of these names, or raise DataplaneError and leave all as it was."""
        wanted = [interfaces.find(name) for name in dict.fromkeys(names)]
        with Takeover() as takeover:
            attachments = [self._attach_one(interface, takeover) for interface in wanted]
        self._attached += wanted
        return attachments

    def detach(self) -> None:
        """Take our program off every interface that `attach` put it on; this opens the ports.

        What a later start has put in its place is not for us to remove.
        """
        while self._attached:
            removal.remove_if_there(self._attached[-1], self._hook.program_ids.__contains__)
            self._attached.pop()

    def _attach_one(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Attach, then remove what else of ours is there: another way of hanging, or another enforcer."""
        try:
            attachment = self._hook.attach(interface, takeover)
            removed = removal.remove(interface, takeover, self._is_older)
        except libbpf.LibbpfError as error:
            raise error.on(interface.name) from error
        return evolve(attachment, replaced=attachment.replaced or bool(removed))

    def _is_older(self, program_id: int) -> bool:
        return program_id not in self._hook.program_ids and is_ours(program_id)

    def close(self) -> None:
        """Give up descriptors; what is attached stays attached and goes on enforcing."""
        self._object.close()


def open_object(name: str, settings: DataplaneSettings) -> libbpf.Object:
    """Open `name`.bpf.o, sized by `settings` but not loaded. Raise DataplaneError."""
    file = resources.files("spale_bpf") / "objects" / f"{name}.bpf.o"
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        message = f"{file} has not been built; in a source tree: make -C bpf (needs clang)"
        raise DataplaneError(message) from error
    opened = libbpf.Object.open(content, name)
    opened.set_max_entries("spale_grants", settings.max_grants)
    opened.set_max_entries("spale_buckets", settings.max_sources)
    opened.set_max_entries("spale_tags", settings.max_tags)
    return opened
