# SPDX-License-Identifier: MIT
"""Why something was not let in."""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """Why something was not let in; the value is the word in the log.

    The first block is the kernel's (`enum spale_reason` in bpf/include/spale_abi.h has the same names,
    upper-cased, behind ``SPALE_R_``); the second belongs to the listener, the third to the monitor.
    """

    # kernel: packets to protected services
    NO_GRANT = "no_grant"
    GRANT_DEAD = "grant_dead"
    GRANT_GRACE = "grant_grace"
    BAD_FLAGS = "bad_flags"
    TRUNCATED = "truncated"
    SHORT_FRAGMENT = "short_fragment"
    EXTENSIONS = "too_many_extensions"
    VLAN_DEPTH = "vlan_depth"
    MAPPED = "mapped_address"
    # kernel: counted, and yet let in
    UNTRACKED = "untracked_session"
    # kernel: packets to the SPA port
    SPA_LENGTH = "spa_length"
    SPA_FRAGMENT = "spa_fragment"
    SPA_OPTIONS = "spa_options"
    UNKNOWN_TAG = "unknown_tag"
    STALE_TAG = "stale_tag"
    BAD_MAC = "bad_mac"
    REPLAY = "replay"
    RATE_LIMITED = "rate_limited"
    # kernel: a map of ours cannot be read
    INTERNAL = "internal"
    # listener
    INTERFACE = "unprotected_interface"
    NOT_OPENED = "not_opened"
    MALFORMED = "malformed"
    SOURCE_MISMATCH = "source_mismatch"
    UNBOUND = "unbound"
    OVERLOAD = "overload"
    # monitor
    MEMORY_LOST = "memory_lost"
    SKEW = "skew"
    BAD_SOURCE = "bad_source"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    SERVICES = "services_not_allowed"
    CLIENT_EXPIRED = "client_expired"
    CLIENT_REMOVED = "client_removed"
    CLAIM_RATE = "claim_rate"
    GRANTS_FULL = "grants_full"
    STORE_FAILED = "store_failed"
