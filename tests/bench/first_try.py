# SPDX-License-Identifier: MIT
"""How long somebody waits who knocks: ``python tests/bench/first_try.py``, as root.

From starting `spale-send --wait` to the open port, where that time goes, and how fast `--connect` relays, as
compared with `cat` on a connection that bash opened.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from spale_core.cli.command import guarded
from spale_core.demo.processes import Background, Daemon, python, run_tool
from spale_core.demo.stage import DOOR, Stage

STARTS = 41
TOP = 14
RELAYS = 5
MEGABYTES = 1024
SPA_PORT, PORT, STREAM_PORT = 55555, 22, 6000
BOUND_S = 60

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_STREAM = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
piece = bytes(1 << 18)
while True:
    connection, _ = server.accept()
    try:
        for _ in range(int(sys.argv[2]) * 4):
            connection.sendall(piece)
    except OSError:
        pass
    connection.close()
"""


class Scene:
    """A guarded server, and what its client has."""

    def __init__(self, exits):
        """Make keys, start the services and the daemon, and compile our modules, as an installation is."""
        self.folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="spale-bench-")))
        self.stage = exits.enter_context(Stage(network4="198.18.0.0/16"))
        self._keys()
        self.environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        stream = [sys.executable, "-c", _STREAM, str(STREAM_PORT), str(MEGABYTES)]
        greeter = python("spale_core.demo.greeter", f"{PORT}/tcp")
        for name, command in (("greeter", greeter), ("stream", stream)):
            background = Background(self.stage.server, command, self.folder / f"{name}.log")
            exits.callback(background.stop, 9)
        self._guard(exits)
        self.knock("--wait", str(PORT))

    def _keys(self):
        public = self.folder / "server.key.pub"
        run_tool(self.stage.server, "spale_core.cli.keygen", "server", "--out", str(self.folder))
        bundle = ("--name", "anna", "--bundle", "--server-pub", str(public), "--out", str(self.folder))
        run_tool(self.stage.client, "spale_core.cli.keygen", "client", *bundle)
        (self.folder / "clients").mkdir(mode=0o700)
        shutil.copy(self.folder / "anna.pem", self.folder / "clients")

    def _guard(self, exits):
        folders = ("--clients", str(self.folder / "clients"), "--state-dir", str(self.folder / "state"))
        daemon = Daemon(
            self.stage.server,
            self.folder / "daemon.log",
            *(
                "-i",
                DOOR,
                "-S",
                str(SPA_PORT),
                "--protect",
                f"{PORT}/tcp",
                "--socket",
                str(self.folder / "s"),
            ),
            *("--server-key", str(self.folder / "server.key"), *folders, "--auth", "hpke"),
        )
        exits.callback(daemon.stop, 2)
        daemon.wait_for("ready", timeout_s=15)

    def command(self, *options):
        """Return a command that knocks from a new address, bound to it."""
        source = str(self.stage.new_source(4))
        send = str(Path(sys.executable).with_name("spale-send"))
        where = ("--host", "198.18.0.1", "--port", str(SPA_PORT), "--key", str(self.folder / "anna.key"))
        return [sys.executable, send, *where, "--source", source, "--bind-source", source, *options]

    def knock(self, *options):
        """Knock and return how long that took, in ms."""
        command = self.command(*options)
        with self.stage.client.inside():
            began = time.perf_counter()
            # The end of its output is seen at once; for its own end subprocess looks every 50 ms only.
            subprocess.run(command, check=True, env=self.environment, timeout=BOUND_S, capture_output=True)
            return (time.perf_counter() - began) * 1000

    def imports(self):
        """Return the modules that take longest to load, by themselves, and how many there are."""
        command = self.command("--wait", str(PORT))
        command[1:1] = ["-X", "importtime"]
        with self.stage.client.inside():
            done = subprocess.run(
                command, check=True, env=self.environment, timeout=BOUND_S, capture_output=True, text=True
            )
        found = [(int(us), name) for us, name in _LINE.findall(done.stderr)]
        return sorted(found, reverse=True)[:TOP], sum(us for us, _ in found), len(found)

    def relayed(self, command):
        """Return how many MB/s come out of `command`."""
        with self.stage.client.inside():
            began = time.perf_counter()
            process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        length, space = 0, bytearray(1 << 20)
        while count := process.stdout.readinto1(space):
            if not length:
                began = time.perf_counter()
            length += count
        elapsed_s = time.perf_counter() - began
        process.kill()
        process.communicate()
        if length != MEGABYTES << 20:
            raise RuntimeError(f"{command[0]}: {length} bytes came")
        return length / elapsed_s / 1e6


def main(_arguments):
    """Print all."""
    with ExitStack() as exits:
        scene = Scene(exits)
        waits = [scene.knock("--wait", str(PORT)) for _ in range(STARTS)]
        bare = [scene.knock() for _ in range(STARTS)]
        sys.stdout.write(
            f"\nfrom starting spale-send to the open port: {statistics.median(waits):.0f} ms in the median, "
            f"{min(waits):.0f} at best; a knock alone {statistics.median(bare):.0f}\n"
        )
        top, total, count = scene.imports()
        sys.stdout.write(f"{count} modules: {total / 1000:.0f} ms under -X importtime; the longest:\n")
        for us, name in top:
            sys.stdout.write(f"  {us / 1000:6.1f} ms  {name}\n")
        _relays(scene)
    return 0


def _relays(scene):
    raw = ["/bin/bash", "-c", f"exec 3<>/dev/tcp/198.18.0.1/{STREAM_PORT}; exec cat <&3"]
    ratios, ours = [], []
    for _ in range(RELAYS):
        ours.append(scene.relayed(scene.command("--connect", "198.18.0.1", str(STREAM_PORT))))
        ratios.append(ours[-1] / scene.relayed(raw))
    sys.stdout.write(
        f"relayed by --connect: {statistics.median(ours):,.0f} MB/s, "
        f"{statistics.median(ratios):.2f} of what cat does\n"
    )


if __name__ == "__main__":
    sys.exit(guarded("bench", main, sys.argv[1:]))
