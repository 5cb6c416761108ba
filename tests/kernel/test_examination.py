# SPDX-License-Identifier: MIT
"""What tc and xdp find for `spale doctor`: by trying it here, and what they say of other kernels."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
from attrs import evolve
from lab import DOORS, SCHED_CLS, XDP, XDP_PASS, chain, command, doors, program

import spale_tc.examine
import spale_xdp.examine
from spale_bpf import libbpf, sandbox
from spale_bpf.examination import Base
from spale_bpf.netdev import native_xdp
from spale_core.errors import DataplaneError
from spale_core.model import FindingState

pytestmark = pytest.mark.kernel

OK, WARNING, MISSING = FindingState.OK, FindingState.WARNING, FindingState.MISSING
EXAMINED = {"tc": spale_tc.examine, "xdp": spale_xdp.examine}
DENIED = libbpf.LibbpfError("network namespace for a trial", errno.EPERM)
NO_MODULE = libbpf.LibbpfError("clsact", errno.ENOENT)
HEALTHY = Base(kernel=lambda: (6, 1), library=lambda: "1.1", root=Path("/nonesuch"))


class Loaded:
    """Instead of a dataplane."""

    def close(self):
        """Do nothing."""


def works(*_):
    """Load, or hang."""
    return Loaded()


def fails(error):
    """Return a trial that fails so."""

    def trial(*_):
        raise error

    return trial


def probes(name, kernel=(6, 1), **changes):
    """Return the probes of a host on which all works but for `changes`."""
    base = evolve(HEALTHY, kernel=lambda: kernel)
    trials = {"hang_tcx": works, "hang_clsact": works, "has_tcx": lambda: True}
    if name == "xdp":
        trials = {"hang_generic": works, "native": dict}
    return EXAMINED[name].Probes(**{"base": base, "load": works, **trials, **changes})


def examine(name, *interfaces, **changes):
    """Return the findings by interface and subject."""
    found = EXAMINED[name].examine(interfaces, probes(name, **changes))
    return {(each.interface, each.subject): each for each in found}


@pytest.mark.parametrize("name", EXAMINED)
def test_this_kernel(name):
    """All is tried for real, and works where the tests run: in namespaces of its own, and leaves nothing."""
    with doors():
        before = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers, not paths
        found = EXAMINED[name].examine(DOORS)
        assert {each.state for each in found if each.subject != "TCX"} == {OK}
        assert {each.interface for each in found} == {None, *DOORS}
        assert chain(DOORS[0]) == []
        assert libbpf.xdp_query(socket.if_nametoindex(DOORS[0])) == libbpf.XdpPrograms(0, 0, 0)
        assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208 - the same


@pytest.mark.parametrize("name", EXAMINED)
def test_a_kernel_that_is_too_old(name):
    """The programs need Linux 4.18; nothing more is tried then."""
    found = examine(name, kernel=(4, 17))
    assert found[None, "kernel"].state is MISSING
    assert found[None, "kernel"].words == "Linux 4.17; the programs need 4.18 or newer"
    assert not {subject for _, subject in found} & {"TCX", "clsact", "XDP generic"}


@pytest.mark.parametrize("name", EXAMINED)
def test_no_libbpf(name):
    """What to install."""
    error = DataplaneError("libbpf is not installed")
    found = examine(name, base=evolve(HEALTHY, library=fails(error)))
    assert (found[None, "libbpf"].state, found[None, "libbpf"].remedy) == (MISSING, "apt install libbpf1")


@pytest.mark.parametrize("name", EXAMINED)
@pytest.mark.parametrize(("number", "remedy"), [(errno.EPERM, "sudo spale doctor"), (errno.EINVAL, None)])
def test_a_program_that_is_refused(name, number, remedy):
    """In one line, without the verifier's log; as root it may be another thing."""
    found = examine(name, load=fails(libbpf.LibbpfError("load", number, "line 1\nline 2")))
    program_found = found[None, "program"]
    assert (program_found.state, program_found.remedy) == (MISSING, remedy)
    assert "\n" not in program_found.words


def bindings_in(root):
    """Put the bindings of bcc where a distribution would; return the folder."""
    package = root / "usr/lib/python3/dist-packages/bcc"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "version.py").write_text("__version__ = '0.26.0'\n")
    return package.parent


def compiling(error):
    """Return how programs are loaded where only LOADER=bcc fails."""

    def load(settings):
        if settings.loader == "bcc":
            raise error
        return Loaded()

    return load


@pytest.mark.parametrize("name", EXAMINED)
def test_bcc(name, tmp_path):
    """Its bindings are where the distribution puts them, and something is compiled; it is no need."""
    base = evolve(HEALTHY, root=tmp_path)
    absent = examine(name, base=base)[None, "bcc"]
    assert (absent.state, absent.remedy) == (OK, "apt install python3-bpfcc")
    folder = bindings_in(tmp_path)
    works_here = examine(name, base=base)[None, "bcc"]
    assert (works_here.state, works_here.words) == (OK, f"version 0.26.0, in {folder}; LOADER=bcc works")
    fails_here = examine(name, base=base, load=compiling(DataplaneError("no clang\nline 2")))[None, "bcc"]
    assert fails_here.state is WARNING
    assert fails_here.words.endswith("; LOADER=bcc does not work: no clang")


def test_bcc_is_not_tried_in_vain(tmp_path):
    """Where the kernel takes no program at all, nothing is compiled."""
    bindings_in(tmp_path)
    found = examine("tc", base=evolve(HEALTHY, root=tmp_path), load=fails(DENIED))
    assert found[None, "bcc"].words.startswith("version 0.26.0, in ")
    assert "LOADER" not in found[None, "bcc"].words


@pytest.mark.parametrize(
    ("changes", "states", "remedy"),
    [
        ({}, (OK, OK), None),
        ({"has_tcx": lambda: False}, (OK, OK), None),
        ({"hang_clsact": fails(NO_MODULE)}, (OK, OK), None),
        ({"has_tcx": lambda: False, "hang_clsact": fails(NO_MODULE)}, (OK, MISSING), "sch_ingress cls_bpf"),
        ({"hang_tcx": fails(DENIED), "hang_clsact": fails(DENIED)}, (WARNING, WARNING), "sudo spale doctor"),
        ({"has_tcx": fails(DENIED), "hang_clsact": fails(DENIED)}, (WARNING, WARNING), "sudo spale doctor"),
        ({"hang_tcx": fails(NO_MODULE)}, (MISSING, OK), None),
    ],
)
def test_one_way_of_hanging_at_tc_is_enough(changes, states, remedy):
    """TCX where the kernel has it, else clsact; what could not be tried is said to be so."""
    found = examine("tc", **changes)
    tcx, clsact = found[None, "TCX"], found[None, "clsact"]
    assert (tcx.state, clsact.state) == states
    assert clsact.remedy == remedy or remedy in clsact.remedy


@pytest.mark.parametrize(
    ("kernel", "native", "generic", "states"),
    [
        ((6, 3), True, works, (OK, OK)),
        ((6, 3), False, works, (WARNING, OK)),
        ((6, 3), False, fails(NO_MODULE), (MISSING, None)),
        ((6, 3), True, fails(NO_MODULE), (OK, None)),
        ((5, 10), None, works, (OK, OK)),
        ((5, 4), None, works, (OK, None)),
    ],
)
def test_xdp_on_an_interface(kernel, native, generic, states):
    """Native, else generic, else neither: then tc can."""
    with doors():
        door = DOORS[0]
        told = None if native is None else {socket.if_nametoindex(door): native}
        found = examine("xdp", door, kernel=kernel, native=lambda: told, hang_generic=generic)
    here = [found.get((door, subject)) for subject in ("XDP native", "XDP generic")]
    assert tuple(each and each.state for each in here) == states
    if here[0].state is MISSING:
        assert here[0].remedy == "spale run --dataplane tc"
    assert found[None, "XDP generic"].state is (OK if states[1] is OK else WARNING)


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="no /dev/net/tun")  # noqa: PTH110 - at import
def test_devices_that_cannot_be_used():
    """An interface that is not there, none of Ethernet, one that somebody else has taken."""
    with doors(), program(XDP, "taken", XDP_PASS) as fd:
        command("ip", "tuntap", "add", "tun0", "mode", "tun")
        libbpf.xdp_attach(fd, socket.if_nametoindex(DOORS[0]), libbpf.XDP_FLAGS_SKB_MODE)
        for name, usable in (("tc", True), ("xdp", False)):
            found = examine(name, "tun0", "gone0", DOORS[0])
            assert (found["tun0", "device"].state is OK) == usable
            assert found["gone0", "device"].state is MISSING
            assert found[DOORS[0], "device"].state is (OK if usable else MISSING)
        taken = found[DOORS[0], "device"]
        assert taken.words.startswith("has the XDP program taken (program ")
        assert taken.remedy == f"ip link set dev {DOORS[0]} xdpgeneric off"
        command(*taken.remedy.split())
        assert (DOORS[0], "device") not in examine("xdp", DOORS[0])


def test_what_drivers_say():
    """A veth can, a loopback cannot."""
    with doors():
        told = native_xdp()
        if told is None:
            pytest.skip("Linux 6.3 is the first that tells")
        assert told[socket.if_nametoindex(DOORS[0])]
        assert not told[socket.if_nametoindex("lo")]


def test_a_trial_is_alone():
    """It sees one interface, what it does there is gone with it, and what it raises arrives."""
    here = socket.if_nameindex()
    assert sandbox.in_new_namespace(socket.if_nameindex) == [(1, "lo")]
    with pytest.raises(DataplaneError, match="no way"):
        sandbox.in_new_namespace(fails(DataplaneError("no way")))
    assert socket.if_nameindex() == here


def test_hanging_needs_no_place_of_others():
    """What hangs on the interfaces of this host is of no account, and stays."""
    with doors(), program(SCHED_CLS, "foreign", 0) as fd:
        index = socket.if_nametoindex(DOORS[0])
        try:
            libbpf.prog_attach(fd, index)
        except libbpf.LibbpfError:
            pytest.skip("Linux 6.6 is the first with TCX")
        found = spale_tc.examine.examine(DOORS)
        assert {each.state for each in found} == {OK}
        assert chain(DOORS[0]) == ["foreign"]
