# SPDX-License-Identifier: MIT
"""The thin layer over libbpf: it says what the kernel says."""

import errno
import struct
import subprocess

import pytest
from lab import SCHED_CLS, TC_NEXT, name_of, program, settings

from spale_bpf import libbpf
from spale_bpf.dataplane import open_object
from spale_core.errors import DataplaneError, PermissionDeniedError

pytestmark = pytest.mark.kernel

UNCHECKED = b"""
__attribute__((section("xdp"), used)) int unchecked(unsigned int *ctx) { return *(char *)(long)ctx[0]; }
__attribute__((section("license"), used)) char _license[] = "GPL";
"""


@pytest.fixture
def loaded():
    """Return the TC object, loaded with maps of the test's sizes."""
    with open_object("spale_tc", settings(max_sources=5000)) as opened:
        opened.load()
        yield opened


def test_a_map_holds_what_was_written(loaded):
    """Look-up, walk and delete agree with what was updated; sizes are those that were set before loading."""
    fd = loaded.map_fd("spale_buckets")
    wanted = {struct.pack("<QQ", number, 0): struct.pack("<Q", number) for number in range(100)}
    for key, value in wanted.items():
        libbpf.map_update(fd, key, value)
    assert dict(libbpf.map_items(fd, 16, 8)) == wanted
    assert set(libbpf.map_keys(fd, 16)) == wanted.keys()
    first = next(iter(wanted))
    assert libbpf.map_lookup(fd, first, 8) == wanted[first]
    assert libbpf.map_delete(fd, first) is True
    assert libbpf.map_delete(fd, first) is False
    assert libbpf.map_lookup(fd, first, 8) is None


def test_a_walk_crosses_the_border_of_a_batch():
    """More entries than one system call fetches all come, each once, if nobody writes meanwhile."""
    with open_object("spale_tc", settings(max_grants=10_000)) as opened:
        opened.load()
        fd = opened.map_fd("spale_grants")
        for number in range(9000):
            libbpf.map_update(fd, number.to_bytes(20, "little"), bytes(32))
        assert len(list(libbpf.map_items(fd, 20, 32))) == 9000


def test_update_flags_are_obeyed(loaded):
    """NOEXIST refuses a key that is there, EXIST one that is not; both with the kernel's errno."""
    fd = loaded.map_fd("spale_tags")
    libbpf.map_update(fd, b"a-tag-of", bytes(32), libbpf.BPF_NOEXIST)
    with pytest.raises(libbpf.LibbpfError) as there:
        libbpf.map_update(fd, b"a-tag-of", bytes(32), libbpf.BPF_NOEXIST)
    assert there.value.number == errno.EEXIST
    with pytest.raises(libbpf.LibbpfError) as missing:
        libbpf.map_update(fd, b"another!", bytes(32), libbpf.BPF_EXIST)
    assert missing.value.number == errno.ENOENT


def test_a_program_runs_on_a_packet_of_ours(loaded):
    """A test run returns verdict and packet, and a time once it was repeated."""
    packet = bytes(12) + b"\x08\x06" + bytes(46)
    result = libbpf.prog_test_run(loaded.program_fd("spale_tc_eth"), packet, 10_000)
    assert result.retval == TC_NEXT % 2**32
    assert result.data_out == packet
    assert result.duration_ns > 0


def test_information_names_a_program(loaded):
    """Id, name and maps are those that the kernel shows to everybody."""
    info = libbpf.prog_info(loaded.program_fd("spale_tc_eth"))
    assert info.name == "spale_tc_eth"
    assert name_of(info.id) == "spale_tc_eth"
    assert len(info.map_ids) == 14


def test_a_program_that_is_gone_is_enoent():
    """The id of a program that nobody holds any more leads to an error that says so."""
    with program(SCHED_CLS, "fleeting", TC_NEXT) as descriptor:
        gone = libbpf.prog_info(descriptor).id
    with pytest.raises(libbpf.LibbpfError, match="ENOENT"):
        libbpf.prog_get_fd_by_id(gone)


def test_what_is_no_object_is_refused_in_words():
    """Bytes that are no ELF file raise an error with libbpf's own words."""
    with pytest.raises(DataplaneError, match="not a proper ELF object"):
        libbpf.Object.open(b"not an object", "nothing")


def test_a_refused_program_comes_with_the_verifiers_log():
    """An object that the kernel refuses raises an error that quotes why."""
    clang = ("clang", "-O2", "-target", "bpf", "-x", "c", "-c", "-o", "-", "-")
    made = subprocess.run(clang, input=UNCHECKED, capture_output=True, timeout=30, check=True)
    with libbpf.Object.open(made.stdout, "unchecked") as opened, pytest.raises(libbpf.LibbpfError) as refused:
        opened.load()
    assert refused.value.number == errno.EACCES
    assert "unchecked: the kernel refuses" in str(refused.value)
    assert "invalid access to packet" in str(refused.value)


def test_names_that_the_object_lacks_are_errors(loaded):
    """A wrong name of a map or program is an error, not a null pointer."""
    with pytest.raises(DataplaneError, match="has no map nowhere"):
        loaded.map_fd("nowhere")
    with pytest.raises(DataplaneError, match="has no program nothing"):
        loaded.program_fd("nothing")


def test_a_closed_object_says_so(loaded):
    """Use after close is an error of ours, not a crash."""
    loaded.close()
    loaded.close()
    with pytest.raises(DataplaneError, match="after close"):
        loaded.map_fd("spale_tags")


def test_no_permission_has_its_own_exit_code():
    """What the kernel forbids ends a command with the code for missing privileges, 77."""
    assert libbpf.LibbpfError("attach", errno.EPERM).exit_code == PermissionDeniedError.exit_code
    assert libbpf.LibbpfError("attach", errno.EBUSY).exit_code == DataplaneError.exit_code


def test_libbpfs_own_codes_have_words():
    """Codes from 4000 on are libbpf's, and are put into its words."""
    assert "invalid" in str(libbpf.LibbpfError("open", 4001))


def test_the_kernels_words_stand_in_the_first_line():
    """What the kernel explains over netlink follows the errno, so that one line says it all."""
    details = "libbpf: Kernel error message: Peer MTU is too large\nlibbpf: more"
    assert str(libbpf.LibbpfError("XDP attach", errno.ERANGE, details)).splitlines() == [
        "XDP attach: Numerical result out of range (ERANGE): Peer MTU is too large",
        "libbpf: more",
    ]
