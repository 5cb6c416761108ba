# SPDX-License-Identifier: MIT
"""A dataplane out of an object file, the policy's maps and a hook: what TC and XDP share."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from importlib import resources
from typing import TYPE_CHECKING, Protocol, Self

from spale_bpf import interface as interfaces
from spale_bpf import libbpf
from spale_bpf.maps import PolicyMaps
from spale_core.errors import DataplaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from spale_bpf.interface import Interface
    from spale_core.interfaces import DataplaneSettings
    from spale_core.model import Attachment, Counter, Grant, KernelTag, Network, Reason, Service, Source

_OUR_NAMES = "spale"
"""What the names of our programs, and of the original's, begin with."""


class Takeover:
    """What an attach has changed so far: taken back, newest first, if its block raises.

    Descriptors of programs that were replaced are kept until the block ends, because a program that hangs
    nowhere and that nobody holds is gone.
    """

    def __init__(self) -> None:
        """Begin with nothing to take back."""
        self._steps = ExitStack()
        self._descriptors = ExitStack()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take back if the block has raised. Raise DataplaneError if that fails too."""
        with self._descriptors:
            if error is None:
                self._steps.pop_all()
                return
            try:
                self._steps.close()
            except DataplaneError as second:
                message = f"{error}; and it could not all be taken back: {second}"
                raise DataplaneError(message) from error

    def undo_by(self, step: Callable[..., object], *arguments: object) -> None:
        """Take back what has just been done by calling `step`."""
        self._steps.callback(step, *arguments)

    def hold(self, program_id: int) -> int:
        """Return a descriptor of a program that lives as long as the block. Raise LibbpfError."""
        descriptor = libbpf.prog_get_fd_by_id(program_id)
        self._descriptors.callback(os.close, descriptor)
        return descriptor


class Hook(Protocol):
    """One way to hang a program on an interface. All methods raise DataplaneError."""

    def attach(self, interface: Interface, takeover: Takeover) -> Attachment:
        """Hang our program there, in place of one of ours, telling `takeover` how to take each step back."""

    def detach(self, interface: Interface) -> None:
        """Take off what `attach` has hung there, unless a later start has replaced it."""


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

    def _attach_one(self, interface: Interface, takeover: Takeover) -> Attachment:
        try:
            return self._hook.attach(interface, takeover)
        except libbpf.LibbpfError as error:
            raise error.on(interface.name) from error

    def detach(self) -> None:
        """Take our program off every interface that `attach` put it on; this opens the ports."""
        while self._attached:
            self._hook.detach(self._attached[-1])
            self._attached.pop()

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


def detach_everywhere(
    detach: Callable[[Interface], Attachment | None],
    names: Sequence[str] | None,
) -> list[Attachment]:
    """Call `detach` on the interfaces of these names, or on all; return what was removed.

    Raise DataplaneError, such as for a name that this network namespace does not have.
    """
    chosen = interfaces.find_all() if names is None else [interfaces.find(name) for name in names]
    removed = (detach(interface) for interface in chosen)
    return [attachment for attachment in removed if attachment is not None]


def program_name(program_id: int) -> str | None:
    """Return the name of a loaded program, or None if it is gone meanwhile.

    Raise LibbpfError: EPERM without CAP_SYS_ADMIN.
    """
    try:
        descriptor = libbpf.prog_get_fd_by_id(program_id)
    except libbpf.LibbpfError as error:
        if error.number == errno.ENOENT:
            return None
        raise
    try:
        return libbpf.prog_info(descriptor).name
    finally:
        os.close(descriptor)


def is_ours(program_id: int) -> bool:
    """Return whether a loaded program is ours or the original's, by its name. Raise LibbpfError."""
    name = program_name(program_id)
    return name is not None and name.startswith(_OUR_NAMES)
