# SPDX-License-Identifier: MIT
"""The story: a port that is silent to everybody, and open for a while to the one who knocked."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from attrs import field, frozen

from spale_core.demo.poll import until
from spale_core.demo.probe import Attempt, Outcome, Seen, try_doors
from spale_core.demo.processes import Background, Daemon, ProcessFailedError, python, run_tool
from spale_core.demo.stage import DOOR
from spale_core.model import Address, Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    from spale_core.demo.stage import Stage

SERVICE = Service(Protocol.TCP, 22)
SPA_PORT = 55555
IDLE_S = 2
_SILENCE_S = 0.5
"""How long we listen before we say that nobody answered."""
_ANSWER_S = 3.0
_START_S = 15.0
"""How long a process may take to start: on a busy machine, or if it has to unpack itself first."""
_WIDTH = 62


@frozen
class Narrator:
    """Writes one line for each thing done and what was seen."""

    out: TextIO
    start: float = field(factory=time.monotonic)

    def tell(self, done: str, seen: str = "") -> None:
        """Write one line with the seconds since the start."""
        elapsed_s = time.monotonic() - self.start
        self.out.write(f"{elapsed_s:5.1f} s  {done:<{_WIDTH}}  {seen}".rstrip() + "\n")
        self.out.flush()


@frozen
class Story:
    """One performance on `stage`, with keys and logs in `folder`; `dataplane` None: a daemon chooses."""

    stage: Stage
    folder: Path
    dataplane: str | None
    narrator: Narrator
    outlive: bool = False
    _running: list[Background] = field(factory=list)

    def tell(self) -> None:
        """Play all scenes but the last.

        Raises SpaleError when something fails or is not seen as it should be.
        """
        friends = {family: self.stage.new_source(family) for family in self.stage.families}
        stranger = self.stage.new_source(4)
        self._open_shop(friends[4])
        self._start_daemon()
        for friend in friends.values():
            self._expect(Outcome.SHUT, friend)
            self._knock(friend)
            self._expect(Outcome.OPEN, friend)
        self._expect(Outcome.SHUT, stranger, deed="connects without a knock")
        self._let_time_run_out()
        self._expect(Outcome.SHUT, *friends.values(), deed="connects once more")

    def end(self) -> None:
        """Play the last scene: Ctrl-C leaves everything as it was."""
        self.daemon.stop(signal.SIGINT)
        self.narrator.tell("Ctrl-C ends the daemon and takes its program away")
        self._expect(Outcome.OPEN, self.stage.new_source(4))

    @property
    def daemon(self) -> Daemon:
        """Return the daemon, once it has been started."""
        return next(process for process in self._running if isinstance(process, Daemon))

    def close(self) -> None:
        """End every process that the story has started."""
        while self._running:
            self._running.pop().stop(signal.SIGKILL)

    def _open_shop(self, friend: Address) -> None:
        command = python("spale_core.demo.greeter", str(SERVICE))
        self._running.append(
            Background(self.stage.server, command, self.folder / "greeter.log", outlive=self.outlive)
        )
        until(lambda: self._try([friend], _SILENCE_S)[0].outcome is Outcome.OPEN, _START_S)
        where = " and ".join(str(address) for address in self.stage.server_addresses.values())
        self.narrator.tell(f"something listens on {SERVICE} of {where}")
        self._expect(Outcome.OPEN, friend)

    def _start_daemon(self) -> None:
        self._keygen("server", "--out", str(self._server))
        public = ("--server-pub", str(self._server / "server.key.pub"))
        self._keygen("client", "--name", "friend", "--bundle", *public, "--out", str(self._clients))
        shown = ("-i", DOOR, "-S", str(SPA_PORT), "--protect", str(SERVICE), "--idle-sec", str(IDLE_S))
        enforcer = ("--dataplane", self.dataplane) if self.dataplane else ()
        more = ("--grace-sec", "0", *enforcer, "--config", str(self._empty_config()))
        state = ("--state-dir", str(self.folder / "state"), "--pin-dir", str(self.folder / "pins"))
        socket = ("--socket", str(self.folder / "spale.sock"))
        keys = ("--server-key", str(self._server / "server.key"), "--clients", str(self._clients))
        log = self.folder / "daemon.log"
        self._running.append(
            Daemon(self.stage.server, log, *shown, *more, *state, *socket, *keys, outlive=self.outlive)
        )
        ready = self.daemon.wait_for("ready", timeout_s=30)
        seen = f"ready ({ready['dataplane']}, {ready['mode']})"
        self.narrator.tell(f"spale run {' '.join(shown)} ...", seen)

    @property
    def _server(self) -> Path:
        return self.folder / "server"

    @property
    def _clients(self) -> Path:
        return self.folder / "clients"

    def _empty_config(self) -> Path:
        """Keep the host's own configuration out of the story."""
        path = self.folder / "spale.conf"
        path.touch(mode=0o600)
        return path

    def _keygen(self, *arguments: str) -> None:
        run_tool(self.stage.server, "spale_core.cli.keygen", *arguments)

    def _knock(self, source: Address) -> None:
        target = self.stage.server_addresses[source.version]
        run_tool(
            self.stage.client,
            "spale_core.cli.send",
            *("--host", str(target), "--port", str(SPA_PORT)),
            *("--key", str(self._clients / "friend.key")),
            *("--source", str(source), "--bind-source", str(source)),
        )
        granted = self.daemon.wait_for("granted", source=str(source))
        self.narrator.tell(
            f"{source} knocks: one UDP datagram", f"no answer; granted for {granted['idle_s']} s"
        )

    def _let_time_run_out(self) -> None:
        over = time.monotonic() + IDLE_S + 0.1
        until(lambda: time.monotonic() > over, IDLE_S + 1)
        self.narrator.tell(f"nobody sends anything for {IDLE_S} s: the time runs out")

    def _try(self, sources: Sequence[Address], timeout_s: float) -> list[Seen]:
        targets = self.stage.server_addresses
        attempts = [Attempt(source, targets[source.version], SERVICE) for source in sources]
        return try_doors(self.stage.client, attempts, timeout_s)

    def _expect(self, outcome: Outcome, *sources: Address, deed: str = "connects") -> None:
        results = self._try(sources, _SILENCE_S if outcome is Outcome.SHUT else _ANSWER_S)
        for source, seen in zip(sources, results, strict=True):
            greeting = f': "{seen.greeting}"' if seen.greeting else ""
            self.narrator.tell(f"{source} {deed}", f"{seen.outcome.value}{greeting}")
            if seen.outcome is not outcome:
                words = f"the demo expected {outcome.value!r} here, and saw {seen.outcome.value!r}"
                raise ProcessFailedError(words)
