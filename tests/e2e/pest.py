# SPDX-License-Identifier: MIT
"""A stranger who tries a TCP and a UDP service without a pause: ``python pest.py SOURCE TARGET``.

Prints a line ``tries answers`` for every try; ends with SIGTERM. A process of its own, so that nothing that
the test does makes a pause.
"""

from __future__ import annotations

import socket
import sys

TCP_PORT = 22
UDP_PORT = 6000
PATIENCE_S = 0.002


def main(source, target):
    """Try for ever."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    tries = answers = 0
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind((source, 0))
        datagrams.settimeout(PATIENCE_S)
        while True:
            answers += ask(datagrams, target) + connect(family, source, target)
            tries += 1
            print(tries, answers, flush=True)  # noqa: T201 - what it is for


def ask(datagrams, target):
    """Tell whether the UDP service answers; an answer that is late counts the next time."""
    try:
        datagrams.sendto(b"?", (target, UDP_PORT))
        return bool(datagrams.recv(64))
    except OSError:
        return False


def connect(family, source, target):
    """Tell whether the TCP service takes a connection."""
    with socket.socket(family, socket.SOCK_STREAM) as stream:
        stream.settimeout(PATIENCE_S)
        try:
            stream.bind((source, 0))
            stream.connect((target, TCP_PORT))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    main(*sys.argv[1:])
