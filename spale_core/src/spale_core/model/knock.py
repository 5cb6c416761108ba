# SPDX-License-Identifier: MIT
"""A knock: what arrives, how the kernel knows it from junk, what it asks for, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, instance_of, le

if TYPE_CHECKING:
    from spale_core.model.grant import Grant
    from spale_core.model.network import Service, Source
    from spale_core.model.reason import Reason


@frozen
class Datagram:
    """The UDP payload of a knock, whence it came, and the interface that it arrived on."""

    payload: bytes = field(repr=False)
    source: Source
    source_port: int
    ifindex: int


@frozen
class Tag:
    """What the kernel must know to tell a client's datagrams of one epoch from junk (wire.md).

    `client` and `server_key` are indices into the configured clients and server keys; `epoch` counts
    periods of `EPOCH_S` since 1970. `mac_key` is empty for datagrams that have no mac (version 1).
    """

    client: int
    server_key: int
    epoch: int
    tag: bytes = field(validator=[instance_of(bytes)])
    mac_key: bytes = field(repr=False)


@frozen
class KernelTag:
    """A tag with its validity in kernel time, as a dataplane takes it; `mac_key` is as that of a `Tag`."""

    tag: bytes
    mac_key: bytes = field(repr=False)
    not_before_ns: int
    not_after_ns: int


@frozen
class Claim:
    """What an authenticated datagram asks for.

    `client` is the index of the configured client, `enc` the replay identity (32 bytes), `services` empty
    for all that the client may have, `idle_s` 0 for the server's own window. `ifindex` is the interface that
    it arrived on, which the engine fills in.
    """

    client: int
    enc: bytes
    unix_ms: int
    source: Source
    bound: bool
    services: frozenset[Service]
    idle_s: int = field(validator=[ge(0), le(65535)])
    ifindex: int = 0


@frozen
class Granted:
    """A claim was honoured."""

    claim: Claim
    grants: tuple[Grant, ...]


@frozen
class Refused:
    """A datagram was refused; `client` is an index where a client is known, `count` how often.

    `first_source` is, for a replay, where the datagram was first seen from, if that is known. `detail` is for
    the log: words and numbers of ours only, never a stranger's bytes.
    """

    reason: Reason
    source: Source
    client: int | None = None
    count: int = 1
    first_source: Source | None = None
    detail: str = ""
