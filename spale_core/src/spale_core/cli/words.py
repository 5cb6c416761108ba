# SPDX-License-Identifier: MIT
"""What the words of the log and of the socket mean, for people; docs/operations.md has the same table."""

from __future__ import annotations

from typing import Final

from spale_core.model import Reason

REASONS: Final = {
    Reason.NO_GRANT: "has no grant, nor a session",
    Reason.GRANT_DEAD: "has a grant that is over, and no session",
    Reason.GRANT_GRACE: "has a grant in GRACE, is no new connection, and has no session",
    Reason.BAD_FLAGS: (
        "mixes SYN with ACK, FIN or RST, or has flags that cannot be read, without a LIVE grant"
    ),
    Reason.TRUNCATED: "ends before its ports or in its Ethernet header, or has headers that make no sense",
    Reason.SHORT_FRAGMENT: "is a first fragment that ends before its ports",
    Reason.EXTENSIONS: (
        "has more than 8 IPv6 extension headers, or a whole packet (4, 41) behind a routing header"
    ),
    Reason.VLAN_DEPTH: "has more than two VLAN tags beyond the hardware's own",
    Reason.MAPPED: "is IPv6 from or to an IPv4-mapped address",
    Reason.UNTRACKED: "is a SYN that passes by its grant, and whose session is not tracked",
    Reason.SPA_LENGTH: "is to the SPA port and has not 128 bytes (version 1: 97) by both its headers",
    Reason.SPA_FRAGMENT: "is to the SPA port and a fragment, even one that is whole",
    Reason.SPA_OPTIONS: "is to the SPA port and has IP options or extension headers",
    Reason.UNKNOWN_TAG: "has a tag that no client makes now",
    Reason.STALE_TAG: "has a tag that is not yet valid, or not any more",
    Reason.BAD_MAC: "has a tag that is known and a mac that does not fit",
    Reason.REPLAY: "has been let through before",
    Reason.RATE_LIMITED: "comes from a source that has no token left",
    Reason.INTERNAL: "met a map that cannot be read or written",
    Reason.INTERFACE: "arrived on an interface that is not protected",
    Reason.NOT_OPENED: "has a known tag, and was not made with that client's key",
    Reason.MALFORMED: "opens, and says what no client of ours says",
    Reason.SOURCE_MISMATCH: "is bound to another address than it came from",
    Reason.UNBOUND: "is bound to no address, and REQUIRE_SOURCE_BINDING is set",
    Reason.OVERLOAD: "came when the monitor had more claims than it could take",
    Reason.MEMORY_LOST: (
        "is older than a start that lost its memory, or bound to no address and too soon after it"
    ),
    Reason.SKEW: "has a time that is further than MAX_SKEW_SEC from the server's",
    Reason.BAD_SOURCE: "comes from an address that nobody can have",
    Reason.SOURCE_NOT_ALLOWED: "comes from where this client may not knock from (NAME_SOURCES)",
    Reason.SERVICES: "asks for services that this client may not have (NAME_PORTS)",
    Reason.CLIENT_EXPIRED: "is of a client whose NAME_EXPIRES has come",
    Reason.CLIENT_REMOVED: "is of a client that has just gone from the configuration",
    Reason.CLAIM_RATE: "is more than a client may make: ten in a second",
    Reason.GRANTS_FULL: "would be granted, if the kernel had room (MAX_GRANTS)",
    Reason.STORE_FAILED: "would be granted, if the store could record it",
}
"""What each packet or datagram did that was not let in."""


def origin(loader: str) -> str:
    """Return what is said beside a dataplane of where its programs come from."""
    return ", compiled on this host by bcc" if loader == "bcc" else ""


def reason_words(value: str) -> str:
    """Return the words for a reason's name, "" for one that this version does not know."""
    try:
        return REASONS[Reason(value)]
    except ValueError:
        return ""
