# SPDX-License-Identifier: MIT
"""Sends frames for some seconds: ``python flooder.py INTERFACE RATE SECONDS FILE``; RATE 0: all it can.

FILE has the frames, each behind its length in two bytes; they are sent in turn, over and over. Prints a line
when it begins and one with their number when it ends. A process of its own, so that nothing that the test
does makes a pause.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path

BATCH = 64
PAUSE_S = 0.002
NO_ROOM_PAUSE_S = 0.0001


def read_frames(path):
    """Return the frames of a file."""
    data, frames, at = Path(path).read_bytes(), [], 0
    while at < len(data):
        start, end = at + 2, at + 2 + int.from_bytes(data[at : at + 2], "big")
        frames.append(data[start:end])
        at = end
    return frames


def write_frames(path, frames):
    """Write a file of frames."""
    path.write_bytes(b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames))


def main(interface, rate, seconds, path):
    """Send until the time is over."""
    frames = read_frames(path)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind((interface, 0))
        print("begun", flush=True)  # noqa: T201 - what it is for
        print("sent", flood(sock, frames, int(rate), float(seconds)), flush=True)  # noqa: T201 - the same


def flood(sock, frames, rate, seconds):
    """Send the frames in turn; return how many."""
    sent, start = 0, time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        due = int(elapsed * rate) + 1 if rate else sent + BATCH
        for number in range(sent, min(due, sent + BATCH)):
            send(sock, frames[number % len(frames)])
            sent += 1
        if rate and sent >= due:
            wait(PAUSE_S)
    return sent


def send(sock, frame):
    """Send one frame, waiting for room where there is none."""
    while True:
        try:
            sock.send(frame)
        except OSError:  # the device's queue is full
            wait(NO_ROOM_PAUSE_S)
        else:
            return


def wait(seconds):
    """Let others work."""
    select.select([], [], [], seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
