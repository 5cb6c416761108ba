# SPDX-License-Identifier: MIT
"""Every key of the configuration, once: file, environment, options, `--help` and example come from here."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from spale_core.config.addresses import ADDRESS4, ADDRESS6, EXPIRY, PREFIXES, SOURCES
from spale_core.config.definitions import ClientDefinition, Definition
from spale_core.config.settings import OnExit
from spale_core.config.values import (
    FLAG,
    GROUP,
    INTERFACES,
    MAX_WINDOW_S,
    NAME,
    PATH,
    PATHS,
    PLUGIN,
    PLUGINS,
    SERVICES,
    USER,
    member,
    number,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ENTRIES = 2**24
"""The most entries that a map of the kernel may be asked to have."""

_IDLE = number(1, MAX_WINDOW_S, never=True)
_GRACE = number(0, MAX_WINDOW_S, never=True)
_MAX = number(1, MAX_WINDOW_S, never=True)
_SIZE = number(1, MAX_ENTRIES)
_LEVEL = word("debug", "info", "warning", "error", also={"warn": "warning", "err": "error"})
_LOADER = word("libbpf", "bcc")
_XDP_MODE = word("auto", "native", "generic")


# A table reads best as one: a line for what a key is, a line for how it is asked for.
# fmt: off
DEFINITIONS: tuple[Definition, ...] = (
    Definition("IFACE", INTERFACES, "interfaces to protect, separated by commas", required=True,
               field="interfaces", restart=True, options=("-i", "--interface"), metavar="NAME",
               repeatable=True, example="eth0"),
    Definition("DATAPLANE", PLUGIN, "what enforces: tc, xdp or a plugin's name; by default tc, or the only "
               "one installed; MODE means the same", example="tc",
               field="dataplane", restart=True, options=("-m", "--mode", "--dataplane"), metavar="NAME",
               also="MODE"),
    Definition("LISTEN_PORT", number(1, 65535), "UDP port of the knocks (the SPA port)", required=True,
               field="listen_port", restart=True, options=("-S", "--listen-port"), metavar="PORT",
               example="55555"),
    Definition("LISTEN_ADDR", ADDRESS4, "IPv4 address to listen on", "0.0.0.0",  # noqa: S104 - text for a file
               field="listen_addr", restart=True, options=("--listen-addr",), metavar="A"),
    Definition("LISTEN_ADDR6", ADDRESS6, "IPv6 address to listen on; skipped where IPv6 is off", "::",
               field="listen_addr6", restart=True, options=("--listen-addr6",), metavar="A"),
    Definition("PROTECTED_PORTS", SERVICES, "ports to protect, separated by commas: 22 (TCP and UDP), "
               "22/tcp, 51820/udp, 6000-6010/tcp", required=True,
               field="services", options=("--protect",), metavar="PORTS", example="22/tcp"),
    Definition("IDLE_SEC", _IDLE, "seconds that a grant stays live after its last packet; -1: never ends",
               "60",
               field="idle_s", options=("-t", "--idle-sec"), metavar="N"),
    Definition("GRACE_SEC", _GRACE, "seconds after the last packet in which a new connection revives the "
               "grant; -1: never ends", "300",
               field="grace_s", options=("-g", "--grace-sec"), metavar="N"),
    Definition("MAX_SEC", _MAX, "seconds after its knock at which a grant ends however busy; -1: never",
               "43200",
               field="max_s", options=("--max-sec",), metavar="N"),
    Definition("SESSION_SEC", number(0, MAX_WINDOW_S), "seconds of silence that a TCP session survives; 0: "
               "sessions are not tracked, only the grant decides", "86400",
               field="session_s", options=("--session-sec",), metavar="N"),
    Definition("SERVER_KEY", PATHS, "the server's private key; two, separated by a comma, while rotating",
               "/etc/spale/server.key",
               field="server_keys", options=("--server-key",), metavar="PATH", repeatable=True),
    Definition("CLIENTS_DIR", PATH, "folder of the clients' public keys, NAME.pem", "/etc/spale/clients",
               field="clients_dir", options=("--clients",), metavar="DIR"),
    Definition("ALWAYS_ALLOW", PREFIXES, "addresses and prefixes that need no knock, separated by commas; "
               "::/0 is all of IPv6 only", "",
               field="always_allow", options=("--always-allow",), metavar="LIST",
               example="192.168.1.10,10.0.0.0/8,2001:db8::/32"),
    Definition("SPA_RL_RATE", number(0, 10**6), "knocks per second and source; 0: no limit", "3",
               field="rate", options=("--rate",), metavar="N"),
    Definition("SPA_RL_BURST", number(0, 10**6), "knocks of one source that may come at once", "3",
               field="burst", options=("--burst",), metavar="N"),
    Definition("AUTH", PLUGINS, "schemes of authentication, separated by commas; hpke-v1 is the original C "
               "program's, weaker, for the clients whose NAME_AUTH says so", "hpke",
               field="auth", options=("--auth",), metavar="LIST"),
    Definition("STORE", PLUGIN, "what remembers grants and used knocks: sqlite (in STATE_DIR), memory "
               "(until the daemon ends), or a plugin's name", "sqlite",
               field="store", restart=True, options=("--store",), metavar="NAME"),
    Definition("MAX_SKEW_SEC", number(1, 120), "seconds that a client's clock may be off", "30",
               field="max_skew_s", options=("--max-skew-sec",), metavar="N"),
    Definition("REQUIRE_SOURCE_BINDING", FLAG, "1: refuse knocks that do not name the source they open for",
               "0",
               field="require_source_binding", options=("--require-source-binding",)),
    Definition("PIN_MAPS", FLAG, "1: pinned maps stay after a clean detach, and a bpffs is mounted for them "
               "on /sys/fs/bpf if there is none", "0",
               field="pin_maps", options=("-p", "--pin")),
    Definition("PIN_DIR", PATH, "folder of the pins, if it is in a bpffs", "/sys/fs/bpf/spale",
               field="pin_dir", restart=True, options=("--pin-dir",), metavar="DIR"),
    Definition("LOG_ONLY", FLAG, "1: nothing is dropped, what would have been is counted and named", "0",
               field="log_only", options=("-n", "--log-only")),
    Definition("DROP_PRIVS", USER, "user (and group) of the process that reads the network; by default "
               "spale if that user exists, else nobody", example="spale:spale",
               field="drop_privs", restart=True, options=("--drop-privs",), metavar="USER[:GROUP]"),
    Definition("ON_EXIT", member(OnExit), "what SIGTERM does: keep the ports shut, or detach and open them",
               "keep",
               field="on_exit", options=("--on-exit",), metavar="keep|detach"),
    Definition("LOADER", _LOADER, "where the programs come from: libbpf loads those that were compiled "
               "beforehand, bcc compiles them at each start", "libbpf",
               field="loader", restart=True, options=("--loader",), metavar="libbpf|bcc"),
    Definition("XDP_MODE", _XDP_MODE, "how XDP is attached", "auto",
               field="xdp_mode", restart=True, options=("--xdp-mode",), metavar="auto|native|generic"),
    Definition("WAIT_INTERFACE", FLAG, "1: an interface may be absent at the start, and is guarded as soon as"
               " it is there", "0",
               field="wait_interface", options=("--wait-interface",)),
    Definition("STATE_DIR", PATH, "folder of what must survive a restart", "/var/lib/spale",
               field="state_dir", restart=True, options=("--state-dir",), metavar="PATH"),
    Definition("SOCKET", PATH, "management socket", "/run/spale/spale.sock",
               field="socket", restart=True, options=("--socket",), metavar="PATH"),
    Definition("SOCKET_GROUP", GROUP, "group whose members may read over the socket", example="adm",
               field="socket_group", restart=True, options=("--socket-group",), metavar="G"),
    Definition("LOG_LEVEL", _LEVEL, "debug, info, warning or error", "info",
               field="log_level", options=("--log-level",), metavar="L"),
    Definition("LOG_USE_SYSLOG", FLAG, "1: log to syslog instead of stderr", "0",
               field="log_syslog", restart=True, options=("--syslog",)),
    Definition("ADOPT", FLAG, "1: TCP connections that stand at the first attach become sessions", "1",
               field="adopt", options=("--adopt",), off="--no-adopt"),
    Definition("TRIAL", number(1, MAX_WINDOW_S), "open again after SEC seconds unless `spale confirm` comes",
               field="trial_s", options=("--trial",), metavar="SEC", option_only=True),
    Definition("NAME", NAME, "name of this daemon among several on one host, which its folders then have too",
               field="name", restart=True, options=("--name",), metavar="NAME", option_only=True),
    Definition("MAX_GRANTS", _SIZE, "grants (source and service) that the kernel has room for", "65536",
               field="max_grants"),
    Definition("MAX_SESSIONS", _SIZE, "TCP sessions that the kernel has room for", "65536",
               field="max_sessions"),
    Definition("MAX_SOURCES", _SIZE, "sources whose rate of knocks the kernel remembers", "16384",
               field="max_sources"),
    Definition("CLIENT_MAX_SOURCES", number(1, 65536), "addresses that one client may hold at once", "16",
               field="client_max_sources"),
)

CLIENT_DEFINITIONS: tuple[ClientDefinition, ...] = (
    ClientDefinition("IDLE_SEC", _IDLE, "this client's IDLE_SEC", "idle_s", "120", falls_back="IDLE_SEC"),
    ClientDefinition("GRACE_SEC", _GRACE, "this client's GRACE_SEC", "grace_s", "60", falls_back="GRACE_SEC"),
    ClientDefinition("MAX_SEC", _MAX, "this client's MAX_SEC", "max_s", "3600", falls_back="MAX_SEC"),
    ClientDefinition("PORTS", SERVICES, "which of PROTECTED_PORTS this client may have; by default all",
                     "services", "22/tcp", falls_back="PROTECTED_PORTS"),
    ClientDefinition("SOURCES", SOURCES, "prefixes that this client may knock from; by default any",
                     "sources", "198.51.100.0/24,2001:db8:7::/48", default=()),
    ClientDefinition("AUTH", PLUGIN, "this client's scheme, one of AUTH; by default hpke",
                     "auth", "hpke", default="hpke"),
    ClientDefinition("EXPIRES", EXPIRY, "when this client's key ends, ISO 8601; a bare date ends 23:59:59 "
                     "UTC, and a time without a zone is UTC", "expires_unix_ms", "2027-12-31"),
)
# fmt: on


@cache
def by_key() -> dict[str, Definition]:
    """Return what file and environment know, by every key that means it, MODE included."""
    return _by_key(each for each in DEFINITIONS if not each.option_only)


@cache
def by_option() -> dict[str, Definition]:
    """Return everything that has a key, also what only the command line knows."""
    return _by_key(DEFINITIONS)


def _by_key(definitions: Iterable[Definition]) -> dict[str, Definition]:
    found = {}
    for each in definitions:
        found[each.key] = each
        if each.also is not None:
            found[each.also] = each
    return found
