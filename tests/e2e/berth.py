# SPDX-License-Identifier: MIT
"""A real sshd behind the door, and real OpenSSH clients that reach it through a profile of spale-send.

Keys, accounts, names and homes are the test's own: both sides see `passwd`, `shadow` and `hosts` files of the
test, mounted over the host's in a mount namespace. Nobody but root is in them, whose home is the test's too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from house import LOG_S, OPEN_S, SPA_PORT

from spale_core.demo.poll import until
from spale_core.demo.probe import Attempt, Outcome, try_doors
from spale_core.demo.processes import Background
from spale_core.model import Protocol, Service

SSH = Service(Protocol.TCP, 2222)
NAME = "gate.example"
"""The server's, which has addresses of both families."""

RUN_S = 60

_PRIVATE_VIEW = """
set -e
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
mount --bind "$1/hosts" /etc/hosts
mount -t tmpfs tmpfs /run
mkdir -m 0755 /run/sshd
shift
exec "$@"
"""


def find(name):
    """Return the path of a program, also where only root's PATH has it."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Berth:
    """An sshd in `house`, which is to guard SSH; its clients run in the client's namespace."""

    def __init__(self, house, folder):
        """Make keys, accounts and configuration, start sshd, and wait until it listens."""
        self.house, self.folder = house, folder
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self._keys()
        self._accounts()
        self._serve()

    # the server

    def _keys(self):
        for name in ("host", "user"):
            self._tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        shutil.copy(self.folder / "user.pub", self.folder / "authorized")

    def _accounts(self):
        entries = (f"root:x:0:0:root:{self.home}:/bin/sh", "sshd:x:65533:65534::/run/sshd:/bin/false")
        (self.folder / "passwd").write_text("".join(f"{entry}\n" for entry in entries))
        hosts = [f"{address} {NAME}\n" for address in self.house.stage.server_addresses.values()]
        (self.folder / "hosts").write_text("".join(hosts))
        (self.folder / "shadow").write_text("root:*:19000:0:99999:7:::\nsshd:!:19000:0:99999:7:::\n")

    def _serve(self):
        settings = {
            "Port": SSH.port,
            "HostKey": self.folder / "host",
            "AuthorizedKeysFile": self.folder / "authorized",
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "UsePAM": "no",
            "StrictModes": "no",
            "PidFile": "none",
            "PermitUserEnvironment": "no",
            "MaxStartups": "100",
            "SetEnv": f"PATH={os.environ['PATH']}",
            "Subsystem": "sftp internal-sftp",
        }
        path = self.folder / "sshd_config"
        path.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        command = [*self._view(), find("sshd"), "-D", "-e", "-f", str(path)]
        self._sshd = Background(self.house.stage.server, command, self.folder / "sshd.log")
        guests = [self.house.guest(family) for family in self.house.stage.families]
        attempts = [Attempt(guest, self.address(guest.version), SSH) for guest in guests]
        assert until(lambda: self._listens(attempts), LOG_S), (self.folder / "sshd.log").read_text()

    def _listens(self, attempts):
        seen = try_doors(self.house.stage.client, attempts, OPEN_S)
        # sshd speaks first, and not what the greeter says: it is there.
        return all(each.outcome is not Outcome.REFUSED for each in seen)

    def _view(self):
        unshare = [find("unshare"), "--mount", "--propagation", "private"]
        return [*unshare, find("sh"), "-c", _PRIVATE_VIEW, "sh", str(self.folder)]

    def close(self):
        """End the server."""
        self._sshd.stop()

    # the clients

    def address(self, family):
        """Return the server's address."""
        return self.house.stage.server_addresses[family]

    def client(self, source, name):
        """Make a profile that knocks from `source`; return an ssh configuration whose host `name` uses it."""
        host, key = str(self.address(source.version)), str(self.house.keyring.bundle("anna"))
        where = ("--host", host, "--port", str(SPA_PORT), "--key", key)
        bound = ("--source", str(source), "--bind-source", str(source))
        self.run("spale-send", "profile", "create", name, *where, *bound)
        path = self.folder / f"ssh-{name}"
        proxy = f"spale-send -p {name} --connect %h %p"
        path.write_text(f"Host {name}\n    HostName {host}\n    ProxyCommand {proxy}\n{self.settings()}")
        return path

    def settings(self):
        """Return what every ssh configuration here ends with: whom to be, and whom to believe."""
        (self.folder / "known").write_text(f"* {(self.folder / 'host.pub').read_text()}")
        settings = {
            "Port": SSH.port,
            "User": "root",
            "IdentityFile": self.folder / "user",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "UserKnownHostsFile": self.folder / "known",
            "GlobalKnownHostsFile": os.devnull,
        }
        return "Host *\n" + "".join(f"    {key} {value}\n" for key, value in settings.items())

    def run(self, *command, timeout_s=RUN_S, cwd=None, **environment):
        """Run a command in the client's namespace, as somebody at home here; return what it printed."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        known = {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **environment}
        with self.house.stage.client.inside():
            done = subprocess.run(
                [*self._view(), *map(str, command)],
                check=False,
                capture_output=True,
                timeout=timeout_s,
                env=known,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
            )
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr.decode()}"
        return done.stdout

    @staticmethod
    def _tool(name, *words):
        subprocess.run([find(name), *words], check=True, timeout=RUN_S, stdin=subprocess.DEVNULL)
