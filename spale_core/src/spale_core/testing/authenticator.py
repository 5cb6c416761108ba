# SPDX-License-Identifier: MIT
"""What every pair of an authenticator and a requester promises."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from spale_core.errors import DataError
from spale_core.model import EPOCH_S, Claim, Datagram, Protocol, Reason, Service, Source
from spale_core.testing.promise import holds, raises, same

if TYPE_CHECKING:
    from spale_core.interfaces import Authenticator, Requester

_NOW_MS = 1_700_000_000_000
_EPOCH = _NOW_MS // 1000 // EPOCH_S
_SOURCE = Source(ip_address("198.51.100.7"))
_ELSEWHERE = Source(ip_address("198.51.100.8"))
_SERVICES = (Service(Protocol.TCP, 22), Service(Protocol.UDP, 51820))
_TAG_LENGTH, _MAC_KEY_LENGTH, _ENC_LENGTH = 8, 16, 32


class AuthenticatorContract:
    """Derive from this, and say in `make` and `make_stranger` how your objects are made.

    `can_ask` is whether a datagram can say for which source, services and window it is meant; `has_mac`
    whether the kernel can tell it from junk by a mac.
    """

    can_ask = True
    has_mac = True

    def make(self) -> tuple[Authenticator, Requester]:
        """Return an authenticator with one server key and one client, and that client's requester."""
        raise NotImplementedError

    def make_stranger(self) -> Requester:
        """Return a requester for the same server whose key the authenticator does not know."""
        raise NotImplementedError

    def test_a_datagram_opens_to_what_was_asked(self) -> None:
        """What the client says is what the server reads; what it cannot say is refused, not left out."""
        authenticator, requester = self._ready()
        if not self.can_ask:
            wishes: list[dict[str, Any]] = [{"source": _SOURCE}, {"services": _SERVICES}, {"idle_s": 30}]
            for wish in wishes:
                sealed = partial(requester.seal, unix_ms=_NOW_MS, **wish)
                raises(DataError, sealed, f"it cannot say {', '.join(wish)}")
            return
        payload = requester.seal(unix_ms=_NOW_MS, source=_SOURCE, services=_SERVICES, idle_s=30)
        claim = _open(authenticator, payload)
        holds(isinstance(claim, Claim), f"a good datagram opens, and is not refused as {claim}")
        if isinstance(claim, Claim):
            said = (claim.client, claim.unix_ms, claim.source, claim.bound, claim.services, claim.idle_s)
            wanted = (0, _NOW_MS, _SOURCE, True, frozenset(_SERVICES), 30)
            same(said, wanted, "a claim says what was sealed")
            same(len(claim.enc), _ENC_LENGTH, "a replay identity has 32 bytes")

    def test_a_wish_may_be_left_out(self) -> None:
        """A datagram without source, services and windows asks for what the server gives."""
        authenticator, requester = self._ready()
        claim = _open(authenticator, requester.seal(unix_ms=_NOW_MS))
        holds(isinstance(claim, Claim), f"a bare datagram opens, and is not refused as {claim}")
        if isinstance(claim, Claim):
            said = (claim.bound, claim.services, claim.idle_s)
            same(said, (False, frozenset(), 0), "what is left out is empty")

    def test_every_datagram_is_another(self) -> None:
        """The same wish at the same time has a replay identity of its own."""
        authenticator, requester = self._ready()
        claims = [_open(authenticator, requester.seal(unix_ms=_NOW_MS)) for _ in range(4)]
        identities = {claim.enc for claim in claims if isinstance(claim, Claim)}
        same(len(identities), len(claims), "no two datagrams have one replay identity")

    def test_a_bound_datagram_is_good_from_its_source_only(self) -> None:
        """Whoever captures it and sends it from elsewhere gets nothing."""
        authenticator, requester = self._ready()
        if not self.can_ask:
            raise SkipTest("its datagrams are never bound")
        payload = requester.seal(unix_ms=_NOW_MS, source=_SOURCE)
        same(_open(authenticator, payload, _ELSEWHERE), Reason.SOURCE_MISMATCH, "a source that differs")

    def test_a_known_identity_is_a_replay(self) -> None:
        """What is in `seen` is refused."""
        authenticator, requester = self._ready()
        payload = requester.seal(unix_ms=_NOW_MS)
        claim = _open(authenticator, payload)
        if isinstance(claim, Claim):
            again = authenticator.authenticate(_datagram(payload, _SOURCE), {claim.enc})
            same(again, Reason.REPLAY, "a datagram whose identity is known")

    def test_no_byte_may_change(self) -> None:
        """One flipped bit anywhere, one byte more or less: refused, never an exception."""
        authenticator, requester = self._ready()
        payload = requester.seal(unix_ms=_NOW_MS, source=_SOURCE if self.can_ask else None)
        same(len(payload), authenticator.length, "a datagram has the length that is announced")
        for place in range(len(payload)):
            changed = bytearray(payload)
            changed[place] ^= 1
            answer = _open(authenticator, bytes(changed))
            holds(isinstance(answer, Reason), f"byte {place} may not change")
        for wrong in (payload[:-1], payload + b"\0", b""):
            answer = _open(authenticator, wrong)
            holds(isinstance(answer, Reason), f"{len(wrong)} bytes are no datagram")

    def test_a_stranger_is_refused(self) -> None:
        """A key that the server does not know opens nothing."""
        authenticator, _ = self._ready()
        answer = _open(authenticator, self.make_stranger().seal(unix_ms=_NOW_MS))
        holds(isinstance(answer, Reason), "an unknown client is refused")

    def test_tags_tell_the_kernel_what_to_let_through(self) -> None:
        """Each epoch has one tag per client and server key, and a datagram begins with its epoch's tag."""
        authenticator, requester = self._ready()
        tags = list(authenticator.tags(_EPOCH))
        same([(t.client, t.server_key, t.epoch) for t in tags], [(0, 0, _EPOCH)], "one tag per client")
        same(list(authenticator.tags(_EPOCH)), tags, "the tags of an epoch do not change")
        (tag,) = tags
        lengths = (_TAG_LENGTH, _MAC_KEY_LENGTH if self.has_mac else 0)
        same((len(tag.tag), len(tag.mac_key)), lengths, "their lengths")
        holds(requester.seal(unix_ms=_NOW_MS).startswith(tag.tag), "a datagram begins with its tag")

    def _ready(self) -> tuple[Authenticator, Requester]:
        """Return the pair, its tags of the epoch computed, as the listener does before it reads."""
        authenticator, requester = self.make()
        list(authenticator.tags(_EPOCH))
        return authenticator, requester


def _open(authenticator: Authenticator, payload: bytes, source: Source = _SOURCE) -> Claim | Reason:
    return authenticator.authenticate(_datagram(payload, source), frozenset())


def _datagram(payload: bytes, source: Source) -> Datagram:
    return Datagram(payload, source, source_port=40000, ifindex=1)
