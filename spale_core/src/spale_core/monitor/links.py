# SPDX-License-Identifier: MIT
"""The kernel's notices about interfaces, taken as one word: look again (docs/adr/0111).

What a notice says is never read, so none can be misread, and one that was lost is made up for by the next
one or by the sweep.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import TYPE_CHECKING, Final

from spale_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_RTMGRP_LINK: Final = 1  # <linux/rtnetlink.h>
_NOTICES_PER_LOOK: Final = 256
_PAUSE_MIN_S: Final = 0.005
_PAUSE_PER_LOOK: Final = 4
"""After a look nobody looks for four times as long as it worked: a flood gets a fifth of a processor."""


class LinkNotices:
    """The daemon's loop calls `turn` each time round, after the knocks; times are seconds."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """Take notices from now on; raise UnavailableError."""
        self._selector = selector
        self._wanted = False
        self._not_before_s = 0.0
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        try:
            self._netlink = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
            self._netlink.bind((0, _RTMGRP_LINK))
        except OSError as error:
            raise UnavailableError(f"the kernel's notices about interfaces: {error.strerror}") from error

    def begin(self) -> None:
        """Let the selector watch: notices that have come already count."""
        self._selector.register(self._netlink, selectors.EVENT_READ, self)

    def noticed(self) -> None:
        """Want a look; until that is due, the selector need not say again that there are notices."""
        self._selector.unregister(self._netlink)
        self._wanted = True

    def due_in_s(self) -> float | None:
        """Return in how many seconds to look, None if nobody wants it."""
        return max(0.0, self._not_before_s - time.monotonic()) if self._wanted else None

    def turn(self, look: Callable[[], None]) -> None:
        """Look, if that is due."""
        if self.due_in_s() != 0:
            return
        self._wanted = False
        # Before the look: what is noticed while we look is for the next one.
        self._forget()
        # Work, not time: on a busy machine that would keep us from looking when it matters.
        began_s = time.process_time()
        look()
        took_s = time.process_time() - began_s
        self._not_before_s = time.monotonic() + max(_PAUSE_MIN_S, _PAUSE_PER_LOOK * took_s)
        self.begin()

    def close(self) -> None:
        """Take no more notices."""
        self._netlink.close()

    def _forget(self) -> None:
        """Empty the socket, as far as that comes to an end."""
        for _ in range(_NOTICES_PER_LOOK):
            try:
                self._netlink.recv(1)
            except BlockingIOError:
                return
            except OSError:
                # ENOBUFS: there were too many, which says no more and no less than one.
                continue
