# SPDX-License-Identifier: MIT
"""Programs that somebody else has attached by a bpf_link: overtaken, or said with the way out."""

import ctypes
import os
from contextlib import contextmanager

import pytest
from lab import DOORS, SCHED_CLS, TC_NEXT, TC_OK, XDP, XDP_PASS, Flood, chain, doors, program, settings
from tc_lab import OURS, dataplane
from watch_lab import index, repaired

import spale_tc.attach
import spale_xdp.attach
from spale_bpf import libbpf
from spale_bpf.libbpf import native
from spale_core.errors import DataplaneError

pytestmark = pytest.mark.kernel

TCX_INGRESS, XDP_LINK = 46, 37  # enum bpf_attach_type
BPF_F_BEFORE = 8


class LinkOpts(ctypes.Structure):
    """The beginning of `struct bpf_link_create_opts`."""

    _fields_ = (("sz", ctypes.c_size_t), ("flags", ctypes.c_uint32))


@pytest.fixture(autouse=True)
def client():
    """Put the test into the server's namespace; return the client's."""
    with doors() as namespace:
        yield namespace


@contextmanager
def linked(kind, name, result):
    """Hang a program on the first door by a link; yield the id of the link."""
    with program(kind, name, result) as descriptor:
        attach_type, flags = {SCHED_CLS: (TCX_INGRESS, BPF_F_BEFORE), XDP: (XDP_LINK, 0)}[kind]
        options = ctypes.byref(LinkOpts(ctypes.sizeof(LinkOpts), flags))
        link = native.library().bpf_link_create(descriptor, index(), attach_type, options)
        assert link >= 0, os.strerror(-link)
        try:
            (number,) = libbpf.links_of(libbpf.prog_info(descriptor).id)
            yield number
        finally:
            os.close(link)


def test_a_foreign_program_before_ours_is_overtaken(client):
    """One that hangs by a link keeps no place: ours gets before it, and it stays."""
    with dataplane() as made, Flood(client) as flood:
        made.attach(DOORS[:1])
        with linked(SCHED_CLS, "foreign", TC_OK):
            flood.must_arrive()
            assert len(repaired(made)) == 1
            flood.must_not_arrive()
            assert chain("door0") == [OURS, "foreign"]


@pytest.mark.parametrize("place", ["first", "second"])
def test_an_older_one_of_ours_is_refused_with_advice(place):
    """What has our name but hangs by a link cannot be replaced: the error says how to take it off."""
    with program(SCHED_CLS, "foreign", TC_NEXT) as other, dataplane() as made:
        with linked(SCHED_CLS, "spale_tc_eth", TC_NEXT) as link:
            if place == "second":
                libbpf.prog_attach(other, index())
            before = chain("door0")
            advice = rf"door0: TCX.*spale_tc_eth \(program \d+\) hangs.*bpftool link detach id {link}"
            with pytest.raises(DataplaneError, match=advice):
                made.attach(DOORS[:1])
            assert chain("door0") == before
        assert made.attach(DOORS[:1])[0].note == ""


def test_a_detach_is_refused_with_advice():
    """`spale detach`, too, can only say what is to be done."""
    with (
        linked(SCHED_CLS, "spale_tc_eth", TC_NEXT) as link,
        pytest.raises(DataplaneError, match=rf"door0.*bpftool link detach id {link}"),
    ):
        spale_tc.attach.detach(["door0"])


@pytest.mark.parametrize("name", ["xdp_balancer", "spale_xdp"])
def test_an_xdp_program_by_a_link_is_refused_with_advice(name):
    """Foreign or ours by name: netlink cannot take it off, so the advice is another one than `ip link`."""
    made = spale_xdp.attach.make(settings())
    try:
        with linked(XDP, name, XDP_PASS) as link:
            with pytest.raises(DataplaneError, match=rf"{name}.*bpftool link detach id {link}") as caught:
                made.attach(DOORS[:1])
            assert "ip link set" not in str(caught.value)
    finally:
        made.close()


def test_a_program_without_links_has_none():
    """What hangs by no link is not said to."""
    with program(SCHED_CLS, "foreign", TC_NEXT) as descriptor:
        assert libbpf.links_of(libbpf.prog_info(descriptor).id) == []
