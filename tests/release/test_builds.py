# SPDX-License-Identifier: MIT
"""The files that `nox -s build` has made: whole, honest, the same wherever they are built."""

from __future__ import annotations

import email
import hashlib
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from bare import run
from packaging.utils import parse_wheel_filename
from wheelhouse import DIST, ROOT, from_session, made, wheels

pytestmark = pytest.mark.timeout(600)  # they are built anew, twice; the commands have limits of their own

OLD_ENOUGH = (2, 34)
"""The newest C library that a wheel may ask for."""


def digests(folder):
    """Return the sum of each wheel and sdist in `folder`."""
    files = (*folder.glob("spale*.whl"), *folder.glob("spale*.tar.gz"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def copy(files, tmp_path_factory):
    """Return the tree in another folder, without git, and nothing in it that is not in the repository."""
    place = tmp_path_factory.mktemp("elsewhere") / "tree"
    for path in files:
        copied = place / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)
    return place


def test_each_wheel_is_for_the_systems_that_it_says():
    """spale-bpf's is for Linux of one architecture, with a C library of 2021 or newer; all others for any."""
    for package, path in wheels().items():
        (tag,) = parse_wheel_filename(path.name)[3]
        assert (tag.interpreter, tag.abi) == ("py3", "none")
        if package == "spale_bpf":
            system = re.fullmatch(r"manylinux_(\d+)_(\d+)_(x86_64|aarch64)", tag.platform)
            assert system, tag
            assert (int(system[1]), int(system[2])) <= OLD_ENOUGH
        else:
            assert tag.platform == "any"


def test_what_a_wheel_carries_is_under_the_terms_it_names():
    """Each licence file of the metadata is there, and there is one for each library that was copied."""
    for path in wheels().values():
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            (place,) = (name for name in names if name.endswith(".dist-info/METADATA"))
            metadata = email.message_from_bytes(archive.read(place))
        folder = place.replace("METADATA", "licenses/")
        texts = metadata.get_all("License-File")
        assert {folder + text for text in texts} == {
            name for name in names if name.startswith(folder) and not name.endswith("/")
        }
        terms = metadata["License-Expression"].split(" AND ")
        copies = [name for name in names if re.search(r"/libs/lib.*\.so", name)]
        assert len(terms) == (2 + len(copies) if copies else 1)
        assert sum(bool(re.match(r"libraries/(lib|z)", text)) for text in texts) == len(copies)


def test_built_elsewhere_they_are_the_same(copy, tmp_path):
    """To the byte, in another folder and under another umask: sdists too."""
    assert wheels()
    assert made("spale*.tar.gz")
    tools = Path(from_session("SPALE_BUILD_PYTHON"))
    surroundings = {
        **os.environ,
        "SOURCE_DATE_EPOCH": run(tools, ROOT / "tools/source_date.py").stdout.strip(),
        "PATH": f"{tools.parent}:{os.environ['PATH']}",
    }
    build = (tools, copy / "tools/wheels.py", tmp_path)
    run(*build, timeout_s=300, env=surroundings, umask=0o077)
    assert digests(tmp_path) == digests(DIST)


def test_from_the_tree_comes_what_comes_from_the_sdist(copy, tmp_path):
    """An sdist lacks nothing: what is in a wheel of the tree is in the one that was made of the sdist."""
    tools = from_session("SPALE_BUILD_PYTHON")
    ours = re.compile(r".*/(libs/.*|libraries/.*|METADATA|WHEEL|RECORD)|.*/")
    for package, path in wheels().items():
        folder = copy / ("bpf" if package == "spale_bpf" else package)
        run(tools, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, folder, timeout_s=300)
        (fresh,) = tmp_path.glob(f"{package}-*.whl")
        with zipfile.ZipFile(fresh) as one, zipfile.ZipFile(path) as other:
            wanted = {name: one.read(name) for name in one.namelist() if not ours.fullmatch(name)}
            found = {name: other.read(name) for name in other.namelist() if not ours.fullmatch(name)}
        assert found == wanted


def test_an_sdist_holds_files_only():
    """No link that leads out of it, nobody's name on it."""
    for path in made("spale*.tar.gz"):
        with tarfile.open(path) as archive:
            for member in archive:
                assert member.isfile(), member.name
                assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
