# SPDX-License-Identifier: MIT
"""The methods that change something by hand: what they take, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spale_core.control.facts import resolved
from spale_core.control.params import Parameter, read_prefix, read_services, read_source, window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spale_core.control.methods import Asked

    Row = Mapping[str, object]

_IP: Final = Parameter("ip", "address", read_source)
_PORTS: Final = Parameter("ports", "list of ports", read_services, optional=True)
_PREFIX: Final = Parameter("prefix", "prefix", read_prefix)

AUTHORIZE_ADD: Final = (
    _IP,
    _PORTS,
    Parameter("idle_sec", "number of seconds", window(1), optional=True),
    Parameter("grace_sec", "number of seconds", window(0), optional=True),
)
AUTHORIZE_DEL: Final = (_IP, _PORTS)
ALLOWLIST: Final = (_PREFIX,)


def authorize_add(asked: Asked) -> Row:
    """Grant an address some services, all protected ones if none are named."""
    params = asked.params
    source = resolved(params["ip"], asked.desk.interfaces, "ip")
    windows_s = (params["idle_sec"], params["grace_sec"])
    granted = asked.desk.authorize(source, params["ports"], windows_s)
    return {"granted": [str(service) for service in granted]}


def authorize_del(asked: Asked) -> Row:
    """End what was granted so."""
    source = resolved(asked.params["ip"], asked.desk.interfaces, "ip")
    ended = asked.desk.withdraw(source, asked.params["ports"])
    return {"ended": len(ended.services), "sessions": ended.sessions}


def allowlist_add(asked: Asked) -> Row:
    """Let a prefix in without a knock."""
    asked.desk.allow(asked.params["prefix"])
    return {}


def allowlist_del(asked: Asked) -> Row:
    """Take that back."""
    asked.desk.disallow(asked.params["prefix"])
    return {}


def confirm(asked: Asked) -> Row:
    """Let a trial go on for good."""
    asked.desk.confirm()
    return {}
