# SPDX-License-Identifier: MIT
"""What a plugin implements. A plugin knows only `model`, `interfaces`, `hookspecs` and `errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from spale_core.model import (
        Attachment,
        Bucket,
        Claim,
        Counter,
        Datagram,
        Finding,
        Grant,
        Holding,
        KernelTag,
        Loss,
        Network,
        Reason,
        Rehearsal,
        Rehearsed,
        Service,
        Session,
        Source,
        Tag,
        Tenure,
    )


def _say_nothing(_message: str) -> None:
    """Say nothing: what a plugin in a test has to say, nobody hears."""


@frozen
class DataplaneSettings:
    """What a dataplane must know when it is made; sizes are numbers of map entries.

    `rate` is datagrams per second and source (0: no limit), `burst` the bucket's depth; `session_s` is how
    long an OPEN session may be silent (0: not tracked). `max_v1_tags` counts tags without a mac (0: version 1
    is dropped by its length). A later start finds what is left in `pin_dir` (None: nothing), with `pin_maps`
    also after a detach. `loader` bcc: compile here. ``say(sentence)`` tells the administrator what is wrong.
    """

    spa_port: int
    rate: int
    burst: int
    max_grants: int
    max_sources: int
    max_tags: int
    max_sessions: int = 1
    max_v1_tags: int = 0
    session_s: int = 0
    log_only: bool = False
    xdp_mode: str = "auto"
    loader: str = "libbpf"
    pin_dir: Path | None = None
    pin_maps: bool = False
    say: Callable[[str], None] = field(default=_say_nothing, eq=False, repr=False)


class Predecessor(Protocol):
    """What an earlier daemon left in the kernel, where packets go on changing it until `attach` replaces it.

    It can be read until it is closed, after that `attach` too. Methods may raise DataplaneError.
    """

    def grants(self) -> Iterable[Grant]:
        """Return its grants, with `last_ns` as packets have moved it."""

    def sessions(self) -> Iterable[Session]:
        """Return its sessions, as packets have opened and moved them."""

    def close(self) -> None:
        """Give up descriptors."""


class Dataplane(Protocol):
    """Enforces grants on packets. Everything is filled first and attached last.

    Every method may raise `spale_core.errors.DataplaneError`; after that nothing is half done.
    """

    def set_services(self, services: Iterable[Service]) -> None:
        """Protect exactly `services`."""

    def set_always_allow(self, prefixes: Iterable[Network]) -> None:
        """Let exactly these prefixes in without a knock."""

    def set_tags(self, tags: Iterable[KernelTag]) -> None:
        """Recognise exactly `tags`; new ones are added before old ones are removed."""

    def allow(self, grants: Sequence[Grant]) -> None:
        """Install or replace `grants`, all or none; idempotent."""

    def revoke(self, keys: Iterable[tuple[Source, Service]]) -> None:
        """Remove the grants of `keys`; a key that is not there is no error."""

    def installed(self) -> Iterable[Grant]:
        """Return the grants in the kernel, with `last_ns` as packets have moved it."""

    def sessions(self) -> Iterable[Session]:
        """Return the sessions in the kernel, as packets have opened and moved them."""

    def put_sessions(self, sessions: Sequence[Session]) -> None:
        """Install or replace `sessions`, all or none; idempotent."""

    def change_sessions(self, changes: Iterable[tuple[Session, Session]]) -> None:
        """Put the second of each pair in the place of the first.

        Where that is gone, is in another state by now, or was restarted, nothing happens.
        """

    def end_sessions(self, sessions: Iterable[Session]) -> None:
        """Remove `sessions`, but none that was restarted since; one that is gone is no error."""

    def set_session_counts(self, counts: Mapping[tuple[Source, Service], int]) -> None:
        """Say how many sessions each source and service holds; those that are not in `counts` hold none."""

    def counters(self) -> Mapping[Reason, Counter]:
        """Return what was counted, by reason: drops, and sessions without room; those at 0 may be absent."""

    def browse_grants(self) -> Iterator[Grant]:
        """Return the grants in the kernel, read as they are taken, a bounded number at a time.

        What comes or goes meanwhile may be missing or come twice. It goes on when this dataplane is closed.
        """

    def browse_sessions(self) -> Iterator[Session]:
        """Return the sessions in the kernel in the same way."""

    def buckets(self) -> Iterator[Bucket]:
        """Return whose knocks the rate limit counts, in the same way."""

    def predecessor(self, interfaces: Sequence[str]) -> Predecessor | None:
        """Return what an earlier daemon left on any of `interfaces`, None if nothing that can be read.

        What another version left, whose meaning may be another, is never read.
        """

    def attach(self, interfaces: Sequence[str]) -> Sequence[Attachment]:
        """Enforce on `interfaces` too, in place of a program of ours that is there; all or none."""

    def ensure(self) -> Sequence[Loss]:
        """Read back every attachment, put back what is lost, and return what was not as it should be.

        Nothing on the way opens what is shut, and nothing of others is removed. What cannot be put back is
        tried again at the next call. An interface is what has the number that was attached to, by its present
        name; one that is gone is a loss, once. Raise DataplaneError only if nothing could be looked at.
        """

    def detach(self) -> None:
        """Take our program off every interface that `attach` put it on; this opens the ports."""

    def close(self) -> None:
        """Give up descriptors; what is attached stays attached and goes on enforcing."""


@frozen
class DataplaneKind:
    """An offer: `make` loads the program, attached nowhere, or raises DataplaneError.

    `detach` removes what this kind has attached to the interfaces of this network namespace (to `interfaces`,
    or to any if that is None), whoever attached it, and returns what it removed.

    The others are optional. `examine` tells `spale doctor` what this kind finds on this host and on these
    interfaces; it raises nothing and changes nothing there. `rehearse` tells `spale explain`, by programs and
    maps of its own, what would become of a new connection (or a UDP packet), then, for TCP, of an ACK in each
    session that is asked about (in a made-up connection, if there is none). It raises DataplaneError.
    """

    name: str
    make: Callable[[DataplaneSettings], Dataplane]
    detach: Callable[[Sequence[str] | None], Sequence[Attachment]]
    examine: Callable[[Sequence[str]], Sequence[Finding]] | None = None
    rehearse: Callable[[DataplaneSettings, Rehearsal], Sequence[Rehearsed]] | None = None


class Authenticator(Protocol):
    """Tells who made a datagram. Holds the server's private keys; lives in the listener. No I/O."""

    length: int
    """Length in bytes of the datagrams that it understands."""

    def tags(self, epoch: int) -> Iterable[Tag]:
        """Return the tags of every client and server key in `epoch`; without a mac key if there is no mac."""

    def authenticate(self, datagram: Datagram, seen: Container[bytes]) -> Claim | Reason:
        """Open `datagram`, the cheap checks first; `seen` holds the replay identities (enc) already known."""


class Requester(Protocol):
    """Makes datagrams; holds the client's private key."""

    def seal(
        self,
        *,
        unix_ms: int,
        source: Source | None = None,
        source_bits: int = 0,
        services: Sequence[Service] = (),
        idle_s: int = 0,
    ) -> bytes:
        """Return one fresh datagram; bound to `source` unless that is None (wire.md, "Plaintext")."""


@frozen
class AuthScheme:
    """An offer of authentication.

    `make_authenticator` takes the PEM private keys of the server and the raw 32-byte public keys of the
    clients (a client's index is its place in that sequence); `make_requester` takes the PEM text of a key
    file that holds the server's public and the client's private key in any order. Both raise DataError.
    """

    name: str
    make_authenticator: Callable[[Sequence[bytes], Sequence[bytes]], Authenticator]
    make_requester: Callable[[bytes], Requester]


class GrantStore(Protocol):
    """Remembers who holds which grant, and which datagrams were used. Raises StoreError."""

    memory_lost: bool
    """Whether what an earlier daemon remembered is not known here (wire.md, "Replay memory")."""

    lost_unix_ms: int
    """When it was lost at an earlier start; 0 if it never was, or nobody knows. It is never forgotten: the
    datagrams from before may still be good when a daemon is started twice, or the clock is stepped back."""

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context in which all changes are made durable together, or none if it raises.

        There is one every five seconds at least. A store that cannot write any more should say so, go on in
        memory, and see to it that the next start does not trust what it left behind.
        """

    def remember(self, client_key: bytes, enc: bytes, unix_ms: int, now_unix_ms: int) -> bool:
        """Record a datagram of the client with the public key `client_key`: test-and-set.

        Return False, and record nothing, if it is a replay: `enc` known, or a time not after the mark.
        """

    def identities(self) -> Iterable[bytes]:
        """Return every `enc` that is remembered, for the listener to refuse early."""

    def put(self, holding: Holding) -> None:
        """Record that a client holds a grant, in place of the same client's for that source and service."""

    def delete(self, client: str, source: Source, service: Service) -> None:
        """Forget a holding; one that is not there is no error."""

    def live(self) -> Iterable[Holding]:
        """Return every holding."""

    def put_tenure(self, tenure: Tenure) -> None:
        """Record when a client held a grant, in place of what was recorded for the same three."""

    def delete_tenure(self, client: str, source: Source, service: Service) -> None:
        """Forget a tenure; one that is not there is no error."""

    def tenures(self) -> Iterable[Tenure]:
        """Return every tenure; none is left in another boot, in which there are none of their sessions."""

    def put_allowed(self, prefix: Network) -> None:
        """Record that an administrator lets `prefix` in without a knock; one that is there is no error."""

    def delete_allowed(self, prefix: Network) -> None:
        """Forget that; one that is not there is no error."""

    def allowed(self) -> Iterable[Network]:
        """Return every such prefix."""

    def close(self) -> None:
        """Write what is not written and close."""


@frozen
class StoreSettings:
    """Its folder, and how far off a datagram's time may be; ``say(message)`` is as for a dataplane."""

    state_dir: Path
    max_skew_s: int = field(default=30)
    say: Callable[[str], None] = field(default=_say_nothing, eq=False, repr=False)


@frozen
class StoreKind:
    """An offer of a grant store; `make` opens it or raises StoreError."""

    name: str
    make: Callable[[StoreSettings], GrantStore]
