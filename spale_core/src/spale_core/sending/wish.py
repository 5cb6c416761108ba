# SPDX-License-Identifier: MIT
"""What one run of spale-send is to do: the command line, then the profile, then the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spale_core.config.mistakes import shown
from spale_core.errors import UsageError
from spale_core.knock import Binding, BindingMode
from spale_core.sending.fields import FIELDS
from spale_core.sending.limits import Said, find_limits, refuse_version_1
from spale_core.sending.rounds import Local

if TYPE_CHECKING:
    from spale_core.model import Service
    from spale_core.sending.limits import Limit
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
    limits: tuple[Limit, ...] = ()
    wire: str = "v2"
    services: tuple[Service, ...] = ()
    idle_s: int = 0
    source: Local | None = None
    rounds: int = 1
    wait: int | None = None
    connect: tuple[str, int] | None = None
    wait_s: int = 0

    @property
    def waits(self) -> bool:
        """Tell whether a port is waited for."""
        return self.wait is not None or self.connect is not None


def make_wish(options: Any, profile: Profile | None) -> Wish:  # noqa: ANN401 - argparse's Namespace, typed by its parser
    """Return what `options` and `profile` ask for.

    Raise UsageError for what is missing or cannot be; ConfigError if all of that stands in the profile.
    """
    said = {} if profile is None else _in_profile(profile)
    given = {each.attribute: each.option for each in FIELDS} | {"key": "--key"}
    said.update(
        {
            name: Said(option, getattr(options, name))
            for name, option in given.items()
            if getattr(options, name) is not None
        }
    )
    connect = _place(options.connect)
    if connect is not None:
        said.setdefault("host", Said("--connect", connect[0]))
    missing = [f"--{name}" for name in ("host", "port", "key") if name not in said]
    if missing:
        raise UsageError(f"{', '.join(missing)} missing; see spale-send --help")
    refuse_version_1(said)
    values = {name: each.value for name, each in said.items()}
    wire = values.get("wire", "v2")
    return Wish(
        host=values["host"],
        port=values["port"],
        key=values["key"],
        family=options.family,
        binding=_OFF if wire == "v1" else values.get("bind_source", _AUTO),
        limits=find_limits(said, options.family),
        wire=wire,
        services=values.get("services", ()),
        idle_s=values.get("idle_sec", 0),
        source=Local(said["source"].value, said["source"].key) if "source" in said else None,
        rounds=values.get("count", 1),
        wait=options.wait,
        connect=connect,
        wait_s=options.wait_sec,
    )


def _in_profile(profile: Profile) -> dict[str, Said]:
    """Return what a profile says, by the attribute of the option of that name."""
    keys = {each.attribute: each.key for each in FIELDS}
    said = {name: Said(keys[name], value, profile.name) for name, value in profile.values().items()}
    return {**said, "key": Said("key", profile.key_path, profile.name)}


def _place(words: list[str] | None) -> tuple[str, int] | None:
    if words is None:
        return None
    host, port = words
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _LAST_PORT):
        raise UsageError(f"--connect: {shown(port)} is not a number from 1 to {_LAST_PORT}")
    return host, int(port)
