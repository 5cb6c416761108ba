# SPDX-License-Identifier: MIT
"""The TC enforcer beside programs of others, in place of older ones, and on other kinds of devices."""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
from contextlib import contextmanager

import packets
import pytest
from lab import DOORS, FLOODED, SCHED_CLS, TC_NEXT, Flood, chain, doors, drops, program, until
from tc_lab import OURS, attached, dataplane, without_tcx

from spale_bpf import filters, libbpf
from spale_bpf.interface import Interface
from spale_core.errors import DataplaneError
from spale_core.model import AttachMode, Reason
from spale_tc import clsact

pytestmark = pytest.mark.kernel

ARPHRD_CAN = 280
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


def test_a_filter_gives_way_to_the_chain_without_a_gap(client):
    """What an older kernel or the original left as a filter goes, once its successor is at work."""
    libbpf.prog_query(socket.if_nametoindex("lo"))
    with dataplane(use_tcx=without_tcx) as old, dataplane() as new:
        old.attach(DOORS[:1])
        with Flood(client) as flood:
            flood.await_more()
            while flood.arrived():
                pass
            (attachment,) = new.attach(DOORS[:1])
            flood.await_more()
            assert not flood.arrived()
        assert (attachment.mode, attachment.replaced) == (AttachMode.TCX, True)
        assert filters.bpf_filters(socket.if_nametoindex("door0")) == []
        assert chain("door0") == [OURS]


@pytest.mark.parametrize("options", [{}, {"use_tcx": without_tcx}], ids=["tcx", "clsact"])
def test_the_originals_filter_is_taken_over(options):
    """A filter whose program is called spale-something is ours to replace, wherever it hangs."""
    index = socket.if_nametoindex("door0")
    with program(SCHED_CLS, "spale_ingress", TC_NEXT) as original, dataplane(**options) as made:
        libbpf.tc_hook_create(index)
        libbpf.tc_attach(original, index, libbpf.ClsactFilter(priority=3, handle=1))
        (attachment,) = made.attach(DOORS[:1])
        assert attachment.replaced
        assert attached("door0") != [libbpf.prog_info(original).id]
        assert len(attached("door0")) == 1


@pytest.mark.parametrize("ours_first", [True, False])
def test_we_are_first_and_others_stay(ours_first):
    """A foreign program in the chain runs after ours, whoever came first, and stays when we go."""
    index = socket.if_nametoindex("door0")
    with program(SCHED_CLS, "foreign", TC_NEXT) as foreign, dataplane() as made, dataplane() as next_one:
        if ours_first:
            made.attach(DOORS[:1])
            libbpf.prog_attach(foreign, index)
            assert chain("door0") == ["foreign", OURS]
        else:
            libbpf.prog_attach(foreign, index)
            made.attach(DOORS[:1])
        assert next_one.attach(DOORS[:1])[0].replaced
        assert chain("door0") == [OURS, "foreign"]
        next_one.detach()
        assert chain("door0") == ["foreign"]


def test_a_foreign_filter_in_our_place_is_not_overwritten():
    """Priority and handle that somebody else has taken are refused by name, and nothing changes."""
    index = socket.if_nametoindex("door0")
    with program(SCHED_CLS, "foreign", TC_NEXT) as foreign, dataplane(use_tcx=without_tcx) as made:
        libbpf.tc_hook_create(index)
        libbpf.tc_attach(foreign, index, clsact.PLACE)
        with pytest.raises(DataplaneError, match=r"door0.*foreign"):
            made.attach(DOORS[:1])
        assert attached("door0") == [libbpf.prog_info(foreign).id]


def test_a_filter_before_ours_is_overtaken(client):
    """Where another filter has got before ours, a start puts the new one before both, without a gap."""
    index = socket.if_nametoindex("door0")
    with dataplane(use_tcx=without_tcx) as made, dataplane(use_tcx=without_tcx) as next_one:
        made.attach(DOORS[:1])
        with program(SCHED_CLS, "foreign", TC_NEXT) as foreign, Flood(client) as flood:
            number = libbpf.prog_info(foreign).id
            libbpf.tc_attach(foreign, index, libbpf.ClsactFilter(clsact.PLACE.priority, 7))
            flood.must_not_arrive()
            assert next_one.attach(DOORS[:1])[0].replaced
            assert not flood.arrived()
            assert attached("door0")[1:] == [number]


@contextmanager
def tun(name):
    """Make a device without Ethernet header; yield the descriptor that feeds it."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        yield device
    finally:
        os.close(device)


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="no /dev/net/tun")  # noqa: PTH110 - at import
def test_a_tunnel_device_gets_the_program_that_expects_no_ethernet_header():
    """On a tun device the layer 3 entry runs, and drops packets of both families to a protected port."""
    flood = packets.udp(FLOODED.port)
    with tun("tun0") as device, dataplane() as made:
        made.attach(["tun0"])
        assert chain("tun0") == ["spale_tc_l3"]
        subprocess.run([shutil.which("ip"), "link", "set", "tun0", "up"], check=True, timeout=10)
        os.write(device, packets.ipv4(flood, packets.UDP))
        until(lambda: drops(made) == 1)
        assert str(made.counters()[Reason.NO_GRANT].last_source) == packets.CLIENT4
        os.write(device, packets.ipv6(flood, packets.UDP))
        until(lambda: drops(made) == 2)
        assert str(made.counters()[Reason.NO_GRANT].last_source) == packets.CLIENT6


def test_a_device_whose_packets_nobody_can_read_is_refused():
    """A device that carries neither Ethernet nor bare IP packets is an error with its number."""
    strange = Interface("can0", 7, ARPHRD_CAN)
    with pytest.raises(DataplaneError, match=r"can0.*280"):
        _ = strange.has_ethernet_header
