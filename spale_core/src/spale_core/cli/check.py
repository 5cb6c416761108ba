# SPDX-License-Identifier: MIT
"""`spale check`: validate the configuration and say what would run; nothing is attached."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from spale_core.cli.options import add_configuration_options, load_settings
from spale_core.cli.words import origin
from spale_core.config.addresses import EXPIRY
from spale_core.config.host import absent_interfaces
from spale_core.config.ports import format_services
from spale_core.config.values import NEVER
from spale_core.errors import ConfigError
from spale_core.fingerprint import fingerprint
from spale_core.footprint import footprint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from spale_core.config.settings import ClientSettings, Settings
    from spale_core.model import Service

_MIB = 2**20
_LABEL_WIDTH = 15


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options: those of `spale run`."""
    parser = subparsers.add_parser(
        "check",
        help="validate the configuration, say what would run, attach nothing",
        description="Validate the configuration and say what `spale run` with the same options would do."
        " Attaches nothing. Every mistake is named, with its place; the exit code is then 78.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_configuration_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what would run and return 0. Raise ConfigError; with --json print the mistakes and return 78."""
    try:
        settings = load_settings(arguments)
    except ConfigError as error:
        if not arguments.json:
            raise
        _print_json({"valid": False, "mistakes": str(error).splitlines()[1:]})
        return error.exit_code
    if arguments.json:
        _print_json(report(settings))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(report(settings))))
    return 0


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def report(settings: Settings) -> dict[str, Any]:
    """Return what `spale check --json` prints of valid settings."""
    fits = footprint(settings)
    return {
        "valid": True,
        "configuration": None if settings.config_path is None else str(settings.config_path),
        "interfaces": list(settings.interfaces),
        "waiting": absent_interfaces(settings.interfaces),
        "dataplane": settings.dataplane,
        "loader": settings.loader,
        "auth": list(settings.auth),
        "store": settings.store,
        "listen": {
            "port": settings.listen_port,
            "addresses": [str(settings.listen_addr), str(settings.listen_addr6)],
        },
        "services": _services(settings.services),
        "windows": {"idle_s": settings.idle_s, "grace_s": settings.grace_s, "max_s": settings.max_s},
        "sessions": {"session_s": settings.session_s, "adopt": settings.adopt},
        "always_allow": [str(prefix) for prefix in settings.always_allow],
        "rate": {"per_second": settings.rate, "burst": settings.burst},
        "log_only": settings.log_only,
        "clients": [_client(client) for client in settings.clients],
        "sizes": {
            "max_grants": settings.max_grants,
            "max_sessions": settings.max_sessions,
            "max_sources": settings.max_sources,
            "client_max_sources": settings.client_max_sources,
            "tags": fits.tags,
            "addresses": fits.addresses,
            "kernel_bytes": fits.kernel_bytes,
        },
        "warnings": list(settings.warnings),
    }


def _client(client: ClientSettings) -> dict[str, Any]:
    expires = client.expires_unix_ms
    return {
        "name": client.name,
        "fingerprint": fingerprint(client.public_key),
        "services": _services(client.services),
        "idle_s": client.idle_s,
        "grace_s": client.grace_s,
        "max_s": client.max_s,
        "sources": [str(prefix) for prefix in client.sources],
        "auth": client.auth,
        "expires": None if expires is None else EXPIRY.write(expires),
    }


def _services(services: Iterable[Service]) -> list[str]:
    return format_services(services).split(",")


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Return the report for people."""
    listen, sizes, rate = found["listen"], found["sizes"], found["rate"]
    yield _line("configuration", f"valid ({found['configuration'] or 'no file'})")
    yield _line("interfaces", ", ".join(found["interfaces"]))
    if found["waiting"]:
        yield _line("waited for", f"{', '.join(found['waiting'])}: there is no such interface yet")
    yield _line("dataplane", _dataplane(found))
    yield _line("knocks", f"UDP port {listen['port']} of {' and '.join(listen['addresses'])}, {_rate(rate)}")
    yield _line("authentication", ", ".join(found["auth"]))
    yield _line("store", found["store"])
    yield _line("services", ", ".join(found["services"]))
    yield _line("always allowed", ", ".join(found["always_allow"]) or "nobody")
    yield _line("windows", _windows(found["windows"]))
    yield _line("sessions", _sessions(found["sessions"]))
    for client in found["clients"]:
        yield from _client_lines(client)
    room = f"{sizes['max_grants']} grants: room for {sizes['addresses']} addresses"
    rest = f"{sizes['max_sessions']} sessions, {sizes['max_sources']} sources, {sizes['tags']} tags"
    yield _line("sizes", f"{room}; {rest}")
    yield _line("kernel memory", f"about {sizes['kernel_bytes'] / _MIB:.1f} MiB")
    for warning in found["warnings"]:
        yield _line("warning", warning)


def _client_lines(client: dict[str, Any]) -> Iterator[str]:
    yield _line("client", f"{client['name']} {client['fingerprint']}")
    yield _line("", f"{', '.join(client['services'])} with {client['auth']}; {_windows(client)}")
    if client["sources"]:
        yield _line("", f"from {', '.join(client['sources'])}")
    if client["expires"]:
        yield _line("", f"until {client['expires']}")


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}} {text}"


def _dataplane(found: dict[str, Any]) -> str:
    log_only = " (log only: nothing is dropped)" if found["log_only"] else ""
    return str(found["dataplane"]) + origin(found["loader"]) + log_only


def _rate(rate: dict[str, int]) -> str:
    if not rate["per_second"]:
        return "no rate limit"
    return f"{rate['per_second']} a second and source, {rate['burst']} at once"


def _windows(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {_seconds(found[f'{name}_s'])}" for name in ("idle", "grace", "max"))


def _sessions(found: dict[str, Any]) -> str:
    if not found["session_s"]:
        return "not tracked: only the grant decides"
    standing = "those that stand at the first attach are adopted" if found["adopt"] else "none is adopted"
    return f"end after {found['session_s']} s of silence; {standing}"


def _seconds(seconds: int) -> str:
    return "without end" if seconds == NEVER else f"{seconds} s"
