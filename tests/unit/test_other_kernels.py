# SPDX-License-Identifier: MIT
"""tools/kernels: which kernels are chosen, what they boot with, and what is understood of what they tell."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from kernels import debian, modules, outcome
from kernels.cpio import Archive, Device
from kernels.image import closure

LABELS = {"Debian": "mirror:/debian/", "Debian-Security": "mirror:/security/"}


def paragraph(name, version, depends=""):
    """Return what an index says of a package."""
    return f"Package: {name}\nVersion: {version}\nDepends: {depends}\nSHA256: {'0' * 64}\nSize: 7\n"


def known(*paragraphs):
    """Return the packages of an index."""
    return list(debian.packages("\n".join(paragraphs)))


def images(*versions):
    """Return the images of kernels."""
    return known(*(paragraph(f"linux-image-{version}-cloud-amd64", f"{version}-1") for version in versions))


def test_the_newest_of_a_series_comes_first():
    """By number and not by letter; what is superseded comes after it, another series not at all."""
    chosen = debian.candidates(images("5.10.9", "5.10.218", "5.1.3", "6.1.4", "5.10.46"), "5.10")
    assert [image.version for image in chosen] == ["5.10.218-1", "5.10.46-1", "5.10.9-1"]


def test_the_newest_of_all():
    """Whatever its number is, but no release candidate."""
    chosen = debian.candidates(images("6.12.7", "7.3.4", "7.4~rc2", "6.1.190"), debian.NEWEST)
    assert chosen[0].version == "7.3.4-1"
    assert len(chosen) == 3


def test_only_images_are_chosen():
    """No meta package, nothing unsigned, no symbols, no other flavour."""
    names = ("", "-unsigned", "-dbg")
    index = [paragraph(f"linux-image-6.1.0-9-cloud-amd64{more}", "6.1.9-1") for more in names]
    index += [paragraph(f"linux-image-{name}", "6.1.9-1") for name in ("cloud-amd64", "6.1.0-9-amd64")]
    assert [image.name for image in debian.candidates(known(*index), "6.1")] == [
        "linux-image-6.1.0-9-cloud-amd64"
    ]


def test_an_image_brings_what_it_is_made_of():
    """Packages of the same release and version, at any depth, and nothing else that it depends on."""
    release = "7.3.4-cloud-amd64"
    index = known(
        paragraph(
            f"linux-image-{release}",
            "7.3.4-1",
            f"dracut | initramfs-tools, linux-binary-{release} (= 7.3.4-1)",
        ),
        paragraph(f"linux-binary-{release}", "7.3.4-1", f"linux-base-{release} (= 7.3.4-1)"),
        paragraph(f"linux-base-{release}", "7.3.4-1"),
        paragraph(f"linux-base-{release}", "7.3.4-0"),
        paragraph(f"linux-modules-{release}", "7.3.4-1"),
    )
    found = debian.parts(index[0], index)
    assert [part.name.partition("-7")[0] for part in found] == ["linux-image", "linux-binary", "linux-base"]
    assert {part.version for part in found} == {"7.3.4-1"}


def test_sources_name_the_mirrors_of_this_machine():
    """Each suite with its mirror and the keys that it must be signed with; none where there is no mirror."""
    lines = list(debian.source_lines(LABELS, ["sid", "trixie-security"], "/keys"))
    assert lines == [
        "deb [arch=amd64 signed-by=/keys] mirror:/debian/ sid main\n",
        "deb [arch=amd64 signed-by=/keys] mirror:/security/ trixie-security main\n",
    ]
    assert list(debian.source_lines({}, ["sid"], "/keys")) == []


def test_modules_come_after_what_they_need():
    """Each once; what is no module is built in."""
    needs = {"tcp_diag": ["inet_diag"], "udp_diag": ["inet_diag"], "inet_diag": [], "veth": ["ipv6"]}
    order = modules.in_order(["tcp_diag", "udp_diag", "veth", "cls_bpf"], needs, needs.__getitem__)
    assert order == ["inet_diag", "tcp_diag", "udp_diag", "veth"]


@pytest.mark.parametrize(("said", "needed"), [(b"a-b,c", ["a_b", "c"]), (b"", [])])
def test_a_module_says_what_it_needs(said, needed):
    """Names are written with and without an underscore; most modules need nothing."""
    assert modules.depends(b"\x7fELF\0depends=" + said + b"\0retpoline=Y\0") == needed


def test_distributions_bring_what_they_require():
    """At any depth, by one spelling of a name, and nothing for another system or an extra."""
    requires = {"a": ["B_c>=1", "d ; sys_platform == 'none'", "e ; extra == 'x'"], "b-c": ["a"]}
    assert closure(["A"], requires.__getitem__) == {"a", "b-c"}


def test_an_archive_is_what_a_kernel_unpacks(tmp_path):
    """Folders before what is in them, links on the way, numbers of devices, headers on multiples of 4."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"hello")
    os.utime(tmp_path / "real" / "file", (7, 7))
    (tmp_path / "link").symlink_to("real")
    archive = Archive()
    archive.copy(tmp_path / "link" / "file")
    archive.character_device(Path("/dev/console"), Device(5, 1))
    stream = io.BytesIO()
    archive.write(stream)
    unpacked = dict(entries(stream.getvalue()))
    assert list(unpacked)[-1] == "TRAILER!!!"
    inside = str(tmp_path)[1:]
    assert unpacked[f"{inside}/link"][1] == b"real"
    fields, content = unpacked[f"{inside}/real/file"]
    assert (fields[5], content) == (7, b"hello")
    assert unpacked["dev/console"][0][9:11] == (5, 1)
    assert list(unpacked).index(inside) < list(unpacked).index(f"{inside}/real/file")


def entries(data):
    """Yield name, fields and content of everything in an archive."""
    while data:
        assert data[:6] == b"070701"
        fields = tuple(int(data[6 + 8 * each : 14 + 8 * each], 16) for each in range(13))
        begin = (110 + fields[11] + 3) // 4 * 4
        yield data[110 : 109 + fields[11]].decode(), (fields, data[begin : begin + fields[6]])
        data = data[(begin + fields[6] + 3) // 4 * 4 :]


def told(*lines):
    """Return what a guest tells."""
    return "".join(json.dumps(line) + "\n" for line in ({"release": "6.1"}, *lines))


def result(name, how):
    """Return what it tells of a test."""
    return {"begins": name}, {"test": name, "outcome": how, "seconds": 1.0, "why": "because"}


def test_what_a_guest_tells_is_understood():
    """Good is only what came to its end with every test, and none failed."""
    came = outcome.read(
        told({"collected": 2}, *result("a", "passed"), *result("b", "skipped"), {"exit": 0}), ""
    )
    assert came.good
    assert (came.release, [test.name for test in came.skipped]) == ("6.1", ["b"])


@pytest.mark.parametrize(
    ("lines", "trouble", "words"),
    [
        ([], "", "before the first test"),
        ([{"collected": 1}, {"begins": "a"}], "it panicked", "it panicked in a"),
        ([{"collected": 2}, *result("a", "passed"), {"exit": 0}], "", "after 1 of 2"),
        ([{"collected": 1}, *result("a", "passed"), {"exit": 3}], "", "ended with 3"),
        ([{"collected": 1}, *result("a", "passed"), {"exit": 0}], "qemu ended", "qemu ended"),
    ],
)
def test_whatever_does_not_end_in_order_is_trouble(lines, trouble, words):
    """And says where it was."""
    came = outcome.read(told(*lines), trouble)
    assert not came.good
    assert words in came.trouble


def test_a_test_that_fails_after_it_has_passed_has_failed():
    """What a test leaves behind is part of it."""
    lines = [{"collected": 1}, *result("a", "passed"), result("a", "failed")[1], {"exit": 1}]
    assert [test.name for test in outcome.read(told(*lines), "").failed] == ["a"]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (f"{outcome.TC}::test_x[tcx]", "TCX"),
        (f"{outcome.TC}::test_x", "TC or XDP"),
        (f"{outcome.XDP}::test_x[auto-AttachMode.XDP_NATIVE]", "XDP native"),
        (f"{outcome.LIFE}::test_x[xdp-native-9]", "takeover"),
        (outcome.TABLE, "packet table"),
    ],
)
def test_where_a_test_counts(name, title):
    """In one column of the table."""
    assert outcome.column(name) == title


def test_what_the_table_says():
    """A failure hides whatever else there is; what is always skipped is not in this kernel."""
    test = outcome.read(told(*result("a", "skipped")), "").tests[0]
    passed, failed = test._replace(outcome="passed"), test._replace(outcome="failed")
    assert outcome.cell([passed, test, passed]) == "2"
    assert outcome.cell([passed, failed]) == "**1 failed**"
    assert outcome.cell([test]) == "not there"
    assert outcome.cell([]) == "-"
