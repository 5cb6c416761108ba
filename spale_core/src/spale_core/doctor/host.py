# SPDX-License-Identifier: MIT
"""What a daemon needs of the host, whatever enforces: privileges, memory, clock, ports."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from spale_core import seccomp
from spale_core.config.localports import find_clash, local_range
from spale_core.doctor.timex import ClockState, clock_state
from spale_core.errors import UnavailableError
from spale_core.hostsockets import HostSockets
from spale_core.model import Finding, FindingState, Protocol, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spale_core.config.settings import Settings

_CAP_NET_ADMIN, _CAP_SYS_ADMIN, _CAP_SYS_RESOURCE, _CAP_PERFMON, _CAP_BPF = 12, 21, 24, 38, 39
_NAMES = {
    _CAP_NET_ADMIN: "CAP_NET_ADMIN",
    _CAP_SYS_ADMIN: "CAP_SYS_ADMIN",
    _CAP_PERFMON: "CAP_PERFMON",
    _CAP_BPF: "CAP_BPF",
}
_SPLIT_SINCE: Final = (5, 8)
"""Since this Linux, what BPF needs of CAP_SYS_ADMIN has names of its own."""
_MEMLOCK_FREE: Final = (5, 11)
"""Since this Linux, maps are charged to the memory cgroup, not to RLIMIT_MEMLOCK."""
_UNLIMITED: Final = -1
_USUAL_PINS: Final = Path("/sys/fs/bpf/spale")
_BPFFS: Final = "/sys/fs/bpf"
_ANY_PORT = Service(Protocol.TCP, 1)

_OK, _WARNING, _MISSING = FindingState.OK, FindingState.WARNING, FindingState.MISSING


def _list_sockets() -> None:
    HostSockets().connections([_ANY_PORT])


@frozen
class Host:
    """What is read of a host; a test puts other values here.

    `proc` is where /proc is, `kernel` major and minor number, `capabilities` the effective ones as bits,
    `memlock` the hard limit in bytes (-1: none). ``list_sockets()`` raises UnavailableError if the kernel
    does not tell of the host's connections, ``make_filter()`` NoFilterError if the listener must do without.
    """

    proc: Path
    kernel: tuple[int, int]
    capabilities: int
    memlock: int
    clock: ClockState | None
    list_sockets: Callable[[], None] = field(default=_list_sockets)
    make_filter: Callable[[], object] = field(default=seccomp.prepare)

    def may(self, capability: int) -> bool:
        """Return whether the capability is effective."""
        return bool(self.capabilities >> capability & 1)

    def text(self, path: str) -> str:
        """Return what a file below /proc says, nothing if it cannot be read."""
        try:
            return (self.proc / path).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return ""


def this_host(proc: Path = Path("/proc")) -> Host:
    """Read the host that this process runs on."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", (proc / "self/status").read_text(), re.MULTILINE)
    return Host(
        proc=proc,
        kernel=(int(numbers[1]), int(numbers[2])) if numbers else (0, 0),
        capabilities=int(effective[1], 16) if effective else 0,
        memlock=resource.getrlimit(resource.RLIMIT_MEMLOCK)[1],
        clock=clock_state(),
    )


def examine_host(host: Host, settings: Settings | None) -> Iterator[Finding]:
    """Yield a finding for each thing; `settings` None if there is no configuration that can be read."""
    yield _privileges(host)
    yield _memlock(host)
    yield _unprivileged_bpf(host)
    yield _bpffs(host, _USUAL_PINS if settings is None else settings.own(settings.pin_dir))
    yield _clock(host)
    yield _sockets(host)
    yield _call_filter(host)
    yield _ports(host, settings)


def _privileges(host: Host) -> Finding:
    narrow = (_CAP_BPF, _CAP_PERFMON) if host.kernel >= _SPLIT_SINCE else (_CAP_SYS_ADMIN,)
    wide = host.may(_CAP_SYS_ADMIN)
    lacking = [each for each in (_CAP_NET_ADMIN, *narrow) if not host.may(each)]
    lacking = [each for each in lacking if each == _CAP_NET_ADMIN or not wide]
    if lacking:
        names = ", ".join(_NAMES[each] for each in lacking)
        return Finding("privileges", _MISSING, f"this process lacks {names}", "sudo spale doctor")
    if not wide:
        words = (
            "enough; without CAP_SYS_ADMIN a start finds what an earlier daemon left only by its pins, and"
            " programs of others have no names"
        )
        return Finding("privileges", _WARNING, words)
    return Finding("privileges", _OK, "all that is needed")


def _memlock(host: Host) -> Finding:
    if host.kernel >= _MEMLOCK_FREE:
        return Finding("memlock", _OK, "this kernel charges maps to the memory cgroup, not to RLIMIT_MEMLOCK")
    if host.memlock == _UNLIMITED or host.may(_CAP_SYS_RESOURCE):
        return Finding("memlock", _OK, "RLIMIT_MEMLOCK is no limit to this process")
    words = f"maps must fit into RLIMIT_MEMLOCK, {host.memlock} bytes, which this process cannot lift"
    return Finding("memlock", _MISSING, words, "ulimit -l unlimited")


def _unprivileged_bpf(host: Host) -> Finding:
    subject = "unprivileged_bpf_disabled"
    value = host.text("sys/kernel/unprivileged_bpf_disabled")
    if not value:
        words = "the kernel has no such setting; it may lack the system call bpf (CONFIG_BPF_SYSCALL)"
        return Finding(subject, _WARNING, words)
    if value == "0":
        words = "0: every user of this host may load BPF programs, which has been a way to read kernel memory"
        return Finding(subject, _WARNING, words, "sysctl -w kernel.unprivileged_bpf_disabled=1")
    return Finding(subject, _OK, f"{value}: only privileged users load BPF programs")


def _bpffs(host: Host, pins: Path) -> Finding:
    mounts = (line.split() for line in host.text("self/mounts").splitlines())
    places = [words[1] for words in mounts if len(words) > 2 and words[2] == "bpf"]  # noqa: PLR2004 - the third word: its type
    here = [place for place in places if pins.is_relative_to(place)]
    if here:
        return Finding("bpffs", _OK, f"mounted on {max(here, key=len)}")
    words = f"none is mounted where {pins} is, so nothing is pinned; a start without root finds nothing then"
    return Finding("bpffs", _WARNING, words, f"mount -t bpf bpf {_BPFFS}")


def _clock(host: Host) -> Finding:
    if host.clock is None:
        return Finding("clock", _WARNING, "the kernel does not tell whether somebody keeps it")
    if not host.clock.synchronised:
        words = (
            "nobody keeps it in step; a knock whose client is more than MAX_SKEW_SEC away from it is refused"
        )
        return Finding("clock", _WARNING, words, "timedatectl set-ntp true")
    return Finding("clock", _OK, f"synchronised, at most {host.clock.max_error_ms} ms off")


def _sockets(host: Host) -> Finding:
    try:
        host.list_sockets()
    except UnavailableError as error:
        words = f"{error}; connections are not adopted, and sessions end by silence alone"
        return Finding("tcp_diag", _WARNING, words, "modprobe tcp_diag")
    return Finding("tcp_diag", _OK, "the kernel tells of the host's TCP connections")


def _call_filter(host: Host) -> Finding:
    subject = "seccomp"
    without = "the listener runs without a filter of its system calls"
    if not host.text("sys/kernel/seccomp/actions_avail"):
        return Finding(subject, _WARNING, f"{without}: this kernel has none (CONFIG_SECCOMP_FILTER)")
    try:
        host.make_filter()
    except seccomp.NoFilterError as error:
        return Finding(subject, _WARNING, f"{without}: {error}", error.remedy)
    return Finding(subject, _OK, "the listener may make few system calls")


def _ports(host: Host, settings: Settings | None) -> Finding:
    subject, proc = "ip_local_port_range", host.proc / "sys/net"
    clash = None if settings is None else find_clash(settings, proc)
    if clash is not None:
        return Finding(subject, _WARNING, clash.words, clash.command)
    bounds = local_range(proc)
    if bounds is None:
        return Finding(subject, _OK, "the kernel does not tell")
    inside = "to protect a port in there, reserve it" if settings is None else "no protected port is in there"
    return Finding(subject, _OK, f"{bounds[0]}-{bounds[1]}: {inside}")
