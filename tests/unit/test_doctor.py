# SPDX-License-Identifier: MIT
"""What `spale doctor` finds: each state of host, packages and dataplanes, told apart and with its remedy."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from attrs import evolve

from spale_core.config.settings import ClientSettings, Settings
from spale_core.doctor.checkup import Question, check_up
from spale_core.doctor.host import Host, examine_host, this_host
from spale_core.doctor.timex import ClockState, clock_state
from spale_core.errors import DataplaneError, UnavailableError
from spale_core.hookspecs import hookimpl
from spale_core.interfaces import DataplaneKind
from spale_core.model import Finding, FindingState, Protocol, Service
from spale_core.plugins import InstalledPlugin

OK, WARNING, MISSING = FindingState.OK, FindingState.WARNING, FindingState.MISSING
ROOT = 2**41 - 1
NARROW = 1 << 12 | 1 << 38 | 1 << 39
NEW, OLD = (6, 1), (5, 4)
SSH = frozenset({Service(Protocol.TCP, 22)})


@pytest.fixture
def host(tmp_path):
    """Return a host on which all is well."""
    put(tmp_path, "sys/kernel/unprivileged_bpf_disabled", "2\n")
    put(tmp_path, "sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
    put(tmp_path, "sys/net/ipv4/ip_local_reserved_ports", "\n")
    put(tmp_path, "sys/kernel/seccomp/actions_avail", "kill_process kill_thread trap errno log allow\n")
    put(tmp_path, "self/mounts", "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n")
    clock = ClockState(synchronised=True, max_error_ms=3)
    return Host(tmp_path, NEW, ROOT, 65536, clock, lambda: None, lambda: None)


def put(proc, path, text):
    """Write a file below /proc."""
    (proc / path).parent.mkdir(parents=True, exist_ok=True)
    (proc / path).write_text(text)


def settings(**changes):
    """Return a configuration."""
    client = ClientSettings("admin", bytes(32), SSH, 60, 300, 3600)
    return evolve(Settings(("lo",), 55555, SSH, (Path("key"),), (client,)), **changes)


def found(host, subject, configured=None):
    """Return state, words and remedy of the one finding about `subject`."""
    (finding,) = [each for each in examine_host(host, configured) if each.subject == subject]
    return finding.state, finding.words, finding.remedy


def test_a_host_on_which_all_is_well(host):
    """Nothing to mend, and each thing is said once."""
    findings = list(examine_host(host, settings()))
    assert {each.state for each in findings} == {OK}
    assert [each.subject for each in findings] == [
        "privileges",
        "memlock",
        "unprivileged_bpf_disabled",
        "bpffs",
        "clock",
        "tcp_diag",
        "seccomp",
        "ip_local_port_range",
    ]


@pytest.mark.parametrize(
    ("kernel", "capabilities", "state", "lacking"),
    [
        (NEW, ROOT, OK, ()),
        (NEW, 1 << 12 | 1 << 21, OK, ()),
        (NEW, NARROW, WARNING, ()),
        (NEW, NARROW & ~(1 << 38), MISSING, ("CAP_PERFMON",)),
        (NEW, 1 << 21, MISSING, ("CAP_NET_ADMIN",)),
        (NEW, 0, MISSING, ("CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON")),
        (OLD, NARROW, MISSING, ("CAP_SYS_ADMIN",)),
        (OLD, 1 << 12 | 1 << 21, OK, ()),
    ],
)
def test_privileges(host, kernel, capabilities, state, lacking):
    """All of root's, the three of Linux 5.8, or too few: then which are lacking, and how to get them."""
    was, words, remedy = found(evolve(host, kernel=kernel, capabilities=capabilities), "privileges")
    assert (was, remedy) == (state, "sudo spale doctor" if state is MISSING else None)
    if lacking:
        assert words == f"this process lacks {', '.join(lacking)}"


@pytest.mark.parametrize(
    ("kernel", "capabilities", "memlock", "state"),
    [
        (NEW, 0, 65536, OK),
        (OLD, 0, -1, OK),
        (OLD, 1 << 24, 65536, OK),
        (OLD, NARROW, 65536, MISSING),
    ],
)
def test_locked_memory(host, kernel, capabilities, memlock, state):
    """Before Linux 5.11 it limits the maps of whoever cannot lift it."""
    changed = evolve(host, kernel=kernel, capabilities=capabilities, memlock=memlock)
    was, _, remedy = found(changed, "memlock")
    assert (was, remedy) == (state, "ulimit -l unlimited" if state is MISSING else None)


def test_bpf_for_everybody(host):
    """It is no need of ours that others may not; a kernel without bpf has not even the setting."""
    put(host.proc, "sys/kernel/unprivileged_bpf_disabled", "0\n")
    state, _, remedy = found(host, "unprivileged_bpf_disabled")
    assert (state, remedy) == (WARNING, "sysctl -w kernel.unprivileged_bpf_disabled=1")
    (host.proc / "sys/kernel/unprivileged_bpf_disabled").unlink()
    state, words, _ = found(host, "unprivileged_bpf_disabled")
    assert (state, "CONFIG_BPF_SYSCALL" in words) == (WARNING, True)


def test_where_the_pins_go(host):
    """A bpffs must be mounted at or above PIN_DIR, that of the configuration if there is one."""
    assert found(host, "bpffs") == (OK, "mounted on /sys/fs/bpf", None)
    elsewhere = settings(pin_dir=Path("/run/pins"), name="office")
    state, words, remedy = found(host, "bpffs", elsewhere)
    assert (state, remedy) == (WARNING, "mount -t bpf bpf /sys/fs/bpf")
    assert "/run/pins-office" in words
    put(host.proc, "self/mounts", "bpf /run/pins-office bpf rw 0 0\ntmpfs /run tmpfs rw 0 0\n")
    assert found(host, "bpffs", elsewhere)[0] is OK
    assert found(host, "bpffs")[0] is WARNING


@pytest.mark.parametrize(
    ("clock", "state", "remedy"),
    [
        (ClockState(synchronised=True, max_error_ms=7), OK, None),
        (ClockState(synchronised=False, max_error_ms=16000), WARNING, "timedatectl set-ntp true"),
        (None, WARNING, None),
    ],
)
def test_the_clock(host, clock, state, remedy):
    """Knocks carry the time, so somebody should keep it."""
    was, _, mend = found(evolve(host, clock=clock), "clock")
    assert (was, mend) == (state, remedy)


def test_connections_of_the_host(host):
    """Without the module the sweep is blind."""

    def fail():
        raise UnavailableError("the host's TCP connections (sock_diag): No such file or directory")

    state, words, remedy = found(evolve(host, list_sockets=fail), "tcp_diag")
    assert (state, remedy) == (WARNING, "modprobe tcp_diag")
    assert words.startswith("the host's TCP connections (sock_diag)")


def test_ports_that_the_host_uses_for_itself(host):
    """The range is said; a protected port inside is a warning, with the command that reserves it."""
    assert found(host, "ip_local_port_range")[1].startswith("32768-60999: to protect a port in there")
    inside = settings(services=frozenset({Service(Protocol.UDP, 51820)}))
    state, words, remedy = found(host, "ip_local_port_range", inside)
    assert (state, remedy) == (WARNING, "sysctl -w net.ipv4.ip_local_reserved_ports=51820")
    assert words.startswith("51820/udp lies inside")
    (host.proc / "sys/net/ipv4/ip_local_port_range").unlink()
    assert found(host, "ip_local_port_range", inside) == (OK, "the kernel does not tell", None)


def test_the_real_host_can_be_read():
    """Whoever asks, on whatever kernel: an answer and no error."""
    assert len(list(examine_host(this_host(), None))) == 8
    state = clock_state()
    assert state is None or state.max_error_ms >= 0


def plugin(name, *kinds, problem=None):
    """Return an installed plugin that offers these dataplanes, or that cannot be loaded."""

    @hookimpl
    def spale_register_dataplanes():
        return kinds

    def load():
        if problem:
            raise ImportError(problem)
        made = types.ModuleType(f"{name}.plugin")
        made.spale_register_dataplanes = spale_register_dataplanes
        return made

    return InstalledPlugin(name, f"{name}.plugin", f"acme-{name}", "1.0", load)


def kind(name, *findings):
    """Return a dataplane that finds this; None: that does not tell."""
    examine = None if findings == (None,) else lambda names: [*findings, *map(about, names)]
    return DataplaneKind(name, lambda _settings: None, lambda _names: (), examine)


def about(name):
    """Return the finding that an interface is no good."""
    return Finding("device", MISSING, "no good", interface=name)


BAD = Finding("program", MISSING, "the kernel refuses it", "reboot")
GOOD = Finding("kernel", OK, "Linux 6.1")


def of_area(report, area):
    """Return the findings of an area."""
    return [entry.finding for entry in report.entries if entry.area == area]


@pytest.mark.parametrize(("bad", "missing"), [("tc", 1), ("xdp", 0)])
def test_what_is_missing_counts_for_what_is_used(host, bad, missing):
    """Without a configuration a daemon would use tc; what xdp lacks keeps nobody from that."""
    kinds = [kind(name, BAD if name == bad else GOOD) for name in ("tc", "xdp")]
    report = check_up(host, [plugin("both", *kinds)], Question((), named=False))
    assert (report.dataplane, report.missing) == ("tc", missing)
    assert of_area(report, bad) == [BAD]


def test_what_two_dataplanes_find_alike_is_said_once(host):
    """By the one that is in use."""
    kinds = [kind("tc", GOOD), kind("xdp", GOOD, BAD)]
    report = check_up(host, [plugin("both", *kinds)], Question((), named=False))
    assert (of_area(report, "tc"), of_area(report, "xdp")) == ([GOOD], [BAD])


@pytest.mark.parametrize(("named", "missing"), [(True, 1), (False, 0)])
def test_interfaces_count_if_they_were_named(host, named, missing):
    """Who asks about all of them learns which are fit, and that is all."""
    report = check_up(host, [plugin("tc", kind("tc", GOOD))], Question(("tun0",), named=named))
    assert of_area(report, "tc") == [GOOD, about("tun0")]
    assert report.missing == missing


def test_the_configuration_says_what_is_used(host):
    """Its dataplane, its plugins; what it warns about is said too, but the ports only once."""
    warned = ("ALWAYS_ALLOW: ::/0 lets in all of IPv6 without a knock",)
    configured = settings(dataplane="xdp", store="memory", auth=("hpke",), warnings=warned)
    installed = [plugin("xdp", kind("xdp", GOOD)), plugin("tc", kind("tc", BAD)), plugin("memory")]
    report = check_up(host, installed, Question((), named=True, settings=configured))
    assert report.dataplane == "xdp"
    missing = [entry.finding for entry in report.entries if entry.needed and entry.finding.state is MISSING]
    assert [(each.subject, each.words) for each in missing] == [("plugin hpke", "is not installed")]
    assert missing[0].remedy.endswith("-m pip install spale-crypto-hpke")
    assert of_area(report, "configuration")[1] == Finding("ALWAYS_ALLOW", WARNING, *warned)


@pytest.mark.parametrize(("loader", "missing"), [("bcc", 1), ("libbpf", 0)])
def test_the_loader_that_the_configuration_names_must_work(host, loader, missing):
    """What is a warning otherwise keeps a daemon from running then."""
    broken = Finding("bcc", WARNING, "LOADER=bcc does not work: no clang")
    configured = settings(dataplane="tc", store="tc", auth=(), loader=loader)
    installed = [plugin("tc", kind("tc", GOOD, broken))]
    report = check_up(host, installed, Question((), named=True, settings=configured))
    assert (report.missing, of_area(report, "tc")[1].state) == (missing, MISSING if missing else WARNING)


def test_a_plugin_that_is_broken(host):
    """Which, and why; it keeps a daemon from running if the configuration names it."""
    installed = [plugin("tc", kind("tc", GOOD)), plugin("acme", problem="no module named acme")]
    report = check_up(host, installed, Question((), named=False))
    broken = of_area(report, "packages")[-1]
    assert (broken.subject, broken.state, report.missing) == ("plugin acme", WARNING, 0)
    assert "no module named acme" in broken.words
    named = settings(store="acme", auth=())
    assert check_up(host, installed, Question((), named=True, settings=named)).missing == 1


def test_no_dataplane_at_all(host):
    """Then nothing can run, and which command helps is said."""
    report = check_up(host, [], Question((), named=False))
    assert (report.dataplane, report.missing) == (None, 1)
    assert of_area(report, "packages")[0].remedy.endswith("-m pip install spale-tc")


def test_a_dataplane_that_does_not_tell(host):
    """It need not; and one that fails is a finding, not the end."""
    report = check_up(host, [plugin("tc", kind("tc", None))], Question((), named=False))
    (finding,) = of_area(report, "tc")
    assert (finding.state, report.missing) == (OK, 0)

    def fail(_names):
        raise DataplaneError("no way")

    failing = DataplaneKind("tc", lambda _settings: None, lambda _names: (), fail)
    report = check_up(host, [plugin("tc", failing)], Question((), named=False))
    assert (of_area(report, "tc")[0].words, report.missing) == ("failed: no way", 1)


def test_a_configuration_that_cannot_be_read(host):
    """It is said, and keeps nobody from judging the host."""
    question = Question((), named=False, problem="/etc/spale/spale.conf has 2 mistakes")
    report = check_up(host, [plugin("tc", kind("tc", GOOD))], question)
    expected = Finding("configuration", WARNING, "/etc/spale/spale.conf has 2 mistakes", "spale check")
    assert of_area(report, "configuration") == [expected]
    assert report.missing == 0
