# SPDX-License-Identifier: MIT
"""Interfaces of a house that come and go, and how long a new one is open."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from ipaddress import ip_interface

from lab import SCHED_CLS, TC_NEXT, command, program
from pyroute2 import IPRoute

from spale_bpf import interface as interfaces
from spale_bpf import libbpf
from spale_bpf.programs import program_ids
from spale_core.demo.poll import until
from spale_core.demo.stage import DOOR

DEADLINE_S = 30


def delete(house, name=DOOR):
    """Delete an interface, and with it the client's end."""
    with house.stage.server.inside():
        command("ip", "link", "delete", name)


def make(house, name=DOOR, other="knock0"):
    """Make an interface between the two, and give it the server's addresses; return its number."""
    house.stage.server.cable(name, house.stage.client, other)
    furnish(house, name)
    return house.stage.server.index(name)


def furnish(house, name=DOOR, other="knock0"):
    """Bring both ends up, and give the one the server's addresses."""
    house.stage.server.up(name)
    house.stage.client.up(other)
    for address in house.stage.server_addresses.values():
        bits = 16 if address.version == 4 else 32
        house.stage.server.add_address(name, ip_interface(f"{address}/{bits}"))


def is_up(house):
    """Tell whether the door is up."""
    with house.stage.server.inside(), IPRoute() as netlink:
        (link,) = netlink.link("get", ifname=DOOR)
    return link["state"] == "up"


def rename(house, before, after):
    """Call an interface otherwise, and give it back the IPv6 address that it loses by that."""
    with house.stage.server.inside():
        command("ip", "link", "set", before, "down")
        command("ip", "link", "set", before, "name", after)
    house.stage.server.up(after)
    for version, address in house.stage.server_addresses.items():
        if version == 6:
            house.stage.server.add_address(after, ip_interface(f"{address}/32"))


def change(house, *words):
    """Do something to the door by `ip link set`."""
    with house.stage.server.inside():
        command("ip", "link", "set", DOOR, *words)


def forget_neighbours(house):
    """Let the client ask anew which MAC address the server has."""
    with house.stage.client.inside():
        command("ip", "neigh", "flush", "dev", "knock0")


def is_attached():
    """Tell whether a program is on the door of the current namespace."""
    return bool(program_ids(interfaces.find(DOOR)))


@contextmanager
def hurried(house):
    """Let the daemon and the test go before what else this machine does: that is not to be measured."""
    pids = {os.getpid(), house.daemon.pid}
    before = {pid: os.getpriority(os.PRIO_PROCESS, pid) for pid in pids}
    for pid in pids:
        os.setpriority(os.PRIO_PROCESS, pid, -20)
    try:
        yield
    finally:
        for pid, priority in before.items():
            os.setpriority(os.PRIO_PROCESS, pid, priority)


def seconds_of_an_attach(house):
    """Return how long the kernel takes just now to attach some program: the daemon cannot be quicker."""
    with house.stage.server.inside(), program(SCHED_CLS, "control", TC_NEXT) as descriptor:
        loopback = socket.if_nametoindex("lo")
        began_s = time.perf_counter()
        libbpf.prog_attach(descriptor, loopback)
        took_s = time.perf_counter() - began_s
        libbpf.prog_detach(descriptor, loopback)
        return took_s


def seconds_until_shut(house):
    """Make the door anew; return how long after the kernel was asked to, a program is on it."""
    with house.stage.server.inside(), IPRoute() as netlink:
        peer = {"ifname": "knock0", "net_ns_fd": house.stage.client.fd}
        began_s = time.perf_counter()
        netlink.link("add", ifname=DOOR, kind="veth", peer=peer)
        assert until(is_attached, DEADLINE_S)
        return time.perf_counter() - began_s
