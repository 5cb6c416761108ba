# SPDX-License-Identifier: MIT
"""What one run of spale-send is to do: the command line, then the profile, then the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spale_core.config.mistakes import shown
from spale_core.errors import UsageError
from spale_core.knock import Binding, BindingMode
from spale_core.sending.fields import FIELDS

if TYPE_CHECKING:
    from spale_core.model import Address, Service
    from spale_core.sending.profiles import Profile

_AUTO: Final = Binding(BindingMode.AUTO)
_OFF: Final = Binding(BindingMode.OFF)
_LAST_PORT: Final = 65535


class Wish(NamedTuple):
    """Where to knock, with which key, for what, how often; what to wait for then, and how long.

    No class of attrs, which would take 1.5 ms longer to make, while somebody waits.
    """

    host: str
    port: int
    key: str
    family: int
    binding: Binding
    wire: str = "v2"
    services: tuple[Service, ...] = ()
    idle_s: int = 0
    source: Address | None = None
    rounds: int = 1
    wait: int | None = None
    connect: tuple[str, int] | None = None
    wait_s: int = 0


def make_wish(options: Any, profile: Profile | None) -> Wish:  # noqa: ANN401 - argparse's Namespace, typed by its parser
    """Return what `options` and `profile` ask for; raise UsageError for what is missing or cannot be."""
    said = {} if profile is None else {**profile.values(), "key": profile.key_path}
    given = {name: getattr(options, name) for name in (*(each.attribute for each in FIELDS), "key")}
    said.update({name: value for name, value in given.items() if value is not None})
    connect = _place(options.connect)
    if connect is not None:
        said.setdefault("host", connect[0])
    missing = [f"--{name}" for name in ("host", "port", "key") if name not in said]
    if missing:
        raise UsageError(f"{', '.join(missing)} missing; see spale-send --help")
    binding = said.get("bind_source", _AUTO)
    wire = said.get("wire", "v2")
    if wire == "v1":
        binding = _without_what_v1_lacks(said, binding)
    return Wish(
        host=said["host"],
        port=said["port"],
        key=said["key"],
        family=options.family,
        binding=binding,
        wire=wire,
        services=said.get("services", ()),
        idle_s=said.get("idle_sec", 0),
        source=said.get("source"),
        rounds=said.get("count", 1),
        wait=options.wait,
        connect=connect,
        wait_s=options.wait_sec,
    )


def _place(words: list[str] | None) -> tuple[str, int] | None:
    if words is None:
        return None
    host, port = words
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _LAST_PORT):
        raise UsageError(f"--connect: {shown(port)} is not a number from 1 to {_LAST_PORT}")
    return host, int(port)


def _without_what_v1_lacks(said: dict[str, Any], binding: Binding) -> Binding:
    """Return the binding of a datagram of version 1: none. Raise UsageError for what it cannot say."""
    lacking = {
        "--bind-source": binding.source,
        "--services": said.get("services"),
        "--idle-sec": said.get("idle_sec"),
    }
    asked = [option for option, value in lacking.items() if value]
    if asked:
        raise UsageError(
            f"{', '.join(asked)}: a datagram of version 1 cannot say that; leave it out, or --wire v2"
        )
    return _OFF
