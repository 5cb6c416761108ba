# SPDX-License-Identifier: MIT
"""A plugin for tests: a dataplane that writes down what is asked of it, and touches no kernel.

It has an authenticator, too, the real one: where a file ``hold`` is beside the diary, whoever makes it stops
itself before, and goes on at SIGCONT.

Run as a program it is a daemon on that dataplane: ``paper_dataplane.py FOLDER [KEY=VALUE …]``. The folder has
the server's key and the clients' public keys; the diary goes there too, a JSON list per line.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

from attrs import evolve

from spale_core import plugins
from spale_core.clock import SystemClock
from spale_core.errors import ConfigError, DataplaneError, SpaleError
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import AuthScheme, DataplaneKind
from spale_core.testing import FakeDataplane

FAILING = "SPALE_TEST_FAILING"
"""In the environment: the name of the method that fails; with ``!`` behind it, by a bug.

A file ``failing`` beside the diary says the same from then on.
"""

SWEEPS = {
    "counters",
    "ensure",
    "installed",
    "sessions",
    "predecessor",
    "change_sessions",
    "end_sessions",
    "set_session_counts",
}
"""What is done every few seconds: no entry in the diary."""

DIARY = "SPALE_TEST_DIARY"
"""In the environment: where to write."""


class PaperDataplane:
    """A fake that keeps a diary."""

    def __init__(self, settings):
        """Write to the file that the environment names."""
        self._fake = FakeDataplane(settings, SystemClock(), number_of=socket.if_nametoindex)

    def __getattr__(self, name):
        """Write the call down, and pass it on."""
        method = getattr(self._fake, name)

        def call(*arguments):
            later = Path(os.environ[DIARY]).with_name("failing")
            failing = later.read_text() if later.exists() else os.environ.get(FAILING, "")
            if name == failing.removesuffix("!"):
                kind = RuntimeError if failing.endswith("!") else DataplaneError
                raise kind(f"{name} fails, as it was told to")
            if name not in SWEEPS:
                arguments = tuple(list(argument) for argument in arguments)
                words = [name, *(sorted(map(str, argument)) for argument in arguments)]
                with Path(os.environ[DIARY]).open("a") as diary:
                    diary.write(json.dumps(words) + "\n")
            return method(*arguments)

        return call


@hookimpl
def spale_register_dataplanes():
    """Offer the dataplane ``paper``."""
    return (DataplaneKind("paper", PaperDataplane, lambda _names: ()),)


@hookimpl
def spale_register_auth_schemes():
    """Offer HPKE as ``paper``."""
    real = plugins.Plugins(["hpke"]).auth_scheme("hpke")

    def make(keys, clients):
        if Path(os.environ[DIARY]).with_name("hold").exists():
            os.kill(os.getpid(), signal.SIGSTOP)
        return real.make_authenticator(keys, clients)

    return (AuthScheme("paper", make, real.make_requester),)


def main(folder, *changes):
    """Run a daemon; return its exit code. The file ``changes`` in `folder` may say more, a change a line."""
    from spale_core import monitor  # noqa: PLC0415 - a plugin must not import it

    try:
        return monitor.run(read(folder, changes), lambda: read(folder, changes))
    except SpaleError as error:
        sys.stderr.write(f"spale: {error}\n")
        return error.exit_code


def read(folder, changes):
    """Return the settings; raise ConfigError for a key that is none."""
    from spale_core.config.settings import ClientSettings, OnExit, Settings  # noqa: PLC0415 - the same
    from spale_core.model import Protocol, Service  # noqa: PLC0415 - the same

    ssh = frozenset({Service(Protocol.TCP, 22)})
    keys = sorted(Path(folder).glob("*.public"))
    clients = [
        ClientSettings(path.stem, path.read_bytes(), ssh, 60, 300, 3600, auth="paper") for path in keys
    ]
    settings = Settings(
        interfaces=("lo",),
        listen_port=55555,
        services=ssh,
        server_keys=(Path(folder) / "server.key",),
        clients=tuple(clients),
        dataplane="paper",
        auth=("paper",),
        state_dir=Path(folder) / "state",
        socket=Path(folder) / "spale.sock",
    )
    written = Path(folder) / "changes"
    for change in (*changes, *(written.read_text().splitlines() if written.exists() else ())):
        key, _, value = change.partition("=")
        kind = {
            "interfaces": lambda names: tuple(names.split(",")),
            "on_exit": OnExit,
            "socket": Path,
            "trial_s": int,
        }.get(key, str)
        try:
            settings = evolve(settings, **{key: kind(value)})
        except TypeError:
            raise ConfigError(f"{written}:1: {key}: is no key") from None
    return settings


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
