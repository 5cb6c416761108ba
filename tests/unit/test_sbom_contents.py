# SPDX-License-Identifier: MIT
"""What an SBOM says is read from the artefact: metadata, machine code, and where that is from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sbom.buildid import BPF, HEADER, MAGIC, NOTE, PROGRAM_HEADER, build_id
from sbom.contents import of_distribution, of_one_file, of_package
from sbom.debian import Packages, stem
from sbom.distributions import components, pins
from sbom.parts import Part, UnknownOriginError, purl

ORIGIN = Part("libz1", "1:1.2", "pkg:deb/debian/libz1@1:1.2", "Zlib")
SUM = "a" * 64
RUST = b'{"components": [{"name": "serde", "purl": "pkg:cargo/serde@1?x=/build"}]}'


class KnownPackages(Packages):
    """A machine with one library: build id 0102."""

    def owner(self, name, identity):
        """Return its package."""
        return ORIGIN if (stem(name), identity) == ("libz", "0102") else None


PACKAGES = KnownPackages({})


def library(identity, machine=62):
    """Return an ELF file that has nothing but a build id."""
    note = NOTE.pack(4, len(identity), 3) + b"GNU\0" + identity.ljust(4, b"\0")
    elf = HEADER.pack(
        MAGIC.ljust(16, b"\0"), 3, machine, 1, 0, HEADER.size, 0, 0, 64, PROGRAM_HEADER.size, 1, 0, 0, 0
    )
    return elf + PROGRAM_HEADER.pack(4, 4, HEADER.size + PROGRAM_HEADER.size, 0, 0, len(note), 0, 4) + note


def metadata(name, *needs, version="1.0", licence="MIT"):
    """Return METADATA of a distribution."""
    lines = [f"Name: {name}", f"Version: {version}", f"License-Expression: {licence}"]
    return "\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs), "", "A text."]).encode()


WHEEL = {
    "spale_bpf/__init__.py": b"",
    "spale_bpf/objects/spale_tc.bpf.o": library(b"\xff", machine=BPF),
    "spale_bpf/libs/libz-12345678.so.1": library(b"\1\2"),
    "spale_bpf-1.0.dist-info/METADATA": metadata(
        "spale-bpf", "attrs>=23", "spale-core==1.0", "segno; extra == 'qr'"
    ),
}


def names(contents):
    """Return name and relation of all components."""
    return {part.name: part.relation for part in contents.parts}


def test_a_build_id_is_found_in_a_real_library():
    """In what the linker wrote; a file without one, or no ELF file, has none."""
    assert build_id(library(bytes(range(20)))) == bytes(range(20)).hex()
    assert build_id(b"\x7fELF\x01\x01 32 bits") is None
    assert build_id(b"") is None
    executable = Path(sys.executable).resolve().read_bytes()
    assert build_id(executable) is None or len(build_id(executable)) == 40


def test_a_wheel_contains_its_libraries_and_declares_the_rest():
    """A copy counts as its package, whatever it is called now; what was left open has no version."""
    contents = of_distribution(WHEEL, PACKAGES)
    assert contents.subject.purl == "pkg:pypi/spale-bpf@1.0"
    assert names(contents) == {"attrs": "declared", "spale-core": "declared", "libz1": "contained"}
    parts = {part.name: part for part in contents.parts}
    assert parts["attrs"].version == ""
    assert parts["spale-core"].purl == "pkg:pypi/spale-core@1.0"
    assert parts["libz1"].notes[0][1].startswith("spale_bpf/libs/libz-12345678.so.1 sha256:")


def test_an_sdist_is_read_from_its_pkg_info():
    """It has the same metadata, in another place."""
    contents = of_distribution({"spale_tc-1.0/PKG-INFO": metadata("spale-tc", "spale-core==1.0")}, PACKAGES)
    assert (contents.subject.name, names(contents)) == ("spale-tc", {"spale-core": "declared"})


def test_machine_code_of_nobody_is_refused():
    """An SBOM that leaves something out is worse than none."""
    with pytest.raises(UnknownOriginError, match=r"libz\.so is of no package"):
        of_distribution({**WHEEL, "spale_bpf/libs/libz.so": library(b"\3")}, PACKAGES)


def test_a_package_contains_distributions_and_what_is_linked_into_them():
    """With licence, sums and embedded SBOM; what it depends on is declared, unless it is inside."""
    site = "usr/lib/spale/site-packages"
    files = {
        f"{site}/one-1.0.dist-info/METADATA": metadata("one", "two>=1", "three; sys_platform == 'win32'"),
        f"{site}/one-1.0.dist-info/RECORD": b"one/_fast.so,sha256=x,3\n",
        f"{site}/one-1.0.dist-info/sboms/rust.json": RUST,
        f"{site}/one/_fast.so": library(b"\7"),
        f"{site}/two-2.0.dist-info/METADATA": metadata("two", version="2.0"),
    }
    control = {
        "Package": "spale",
        "Version": "1.0-1",
        "Architecture": "amd64",
        "Depends": "libc6 (>= 2.34), a | b",
    }
    contents = of_package(control, files, PACKAGES, {"one": [SUM]})
    assert contents.subject.purl == "pkg:deb/spale@1.0-1?arch=amd64"
    assert names(contents) == {"one": "contained", "two": "contained", "libc6": "declared", "a": "declared"}
    one = next(part for part in contents.parts if part.name == "one")
    assert dict(one.notes)["one-of-sha256"] == SUM
    assert [part.purl for part in one.parts] == ["pkg:cargo/serde@1"]


def test_one_file_contains_every_module_of_others():
    """Whose metadata is inside or not, and the bootloader; a module of nobody is refused."""
    files = {
        "spale_core-1.0.dist-info/METADATA": metadata("spale-core"),
        "attr/__init__.pyc": b"",
        "json/__init__.pyc": b"",
        "lib/libz.so.1": library(b"\1\2"),
    }
    tops = {"attr": ["attrs"]}
    with pytest.raises(UnknownOriginError, match="pyinstaller is not installed"):
        of_one_file(files, PACKAGES, {}, tops)
    with pytest.raises(UnknownOriginError, match="the module nobodys is of no"):
        of_one_file({**files, "nobodys/__init__.pyc": b""}, PACKAGES, {}, tops)


def test_pins_are_the_sums_in_the_requirements():
    """One of them is the file that was installed."""
    text = f"# by make lock\none-two==1.0 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{SUM}\n"
    assert pins(text) == {"one-two": [SUM, "b" * 64]}


def test_a_package_url_is_escaped():
    """Version and qualifiers, as the specification of package URLs wants it."""
    assert (
        purl("deb/debian", "libbpf1", "1:1.1+b1", arch="amd64")
        == "pkg:deb/debian/libbpf1@1:1.1%2Bb1?arch=amd64"
    )


def test_licences_of_an_embedded_sbom_stay_expressions():
    """Two that both hold are joined; each is one way or another to state a licence."""
    licences = [{"license": {"id": "MIT"}}, {"expression": "A OR B"}]
    (part,) = components({"components": [{"name": "x", "licenses": licences}]})
    assert part.licence == "MIT AND (A OR B)"
