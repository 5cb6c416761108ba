# SPDX-License-Identifier: MIT
"""What `nox -s release` refuses: each check says what is wrong, and what would be right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from releasing import artefacts, files, repository, versions
from releasing.checklist import Check, print_all

VERSION = "1.2.0"
PROJECT = """\
name = "{name}"
version = "{version}"
dependencies = ["attrs>=23.1", "spale-core=={version}"]
"""
CHANGELOG = (
    "# Changelog\n\n## 1.2.0 (2026-11-23)\n\n### Added\n\nA door.\n\n## 1.1.0 (2026-01-01)\n\nA wall.\n"
)
NAMES = (
    *(f"{name}-{VERSION}.tar.gz" for name in artefacts.PACKAGES),
    *(f"{name}-{VERSION}-py3-none-any.whl" for name in artefacts.PACKAGES[1:]),
    f"spale_bpf-{VERSION}-py3-none-manylinux_2_34_x86_64.whl",
    "spale",
    f"spale_{VERSION}-1_amd64.deb",
)


def git(root, *words):
    """Let git do something as somebody."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return repository.git(root, *who, *words)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """Return a repository that is ready for 1.2.0."""
    root = tmp_path_factory.mktemp("pattern")
    for folder in versions.FOLDERS:
        (root / folder).mkdir()
        (root / folder / "pyproject.toml").write_text(PROJECT.format(name=folder, version=VERSION))
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    git(root, "init", "--quiet", "--template=", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=release: 1.2.0")
    return root


@pytest.fixture
def tree(pattern, tmp_path):
    """Return a copy of it."""
    return shutil.copytree(pattern, tmp_path / "tree")


@pytest.fixture
def dist(tmp_path):
    """Return a folder with all artefacts of 1.2.0, and their SBOMs."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
        describe(folder / name)
    return folder


def describe(artefact):
    """Write an SBOM that is of this file."""
    hashes = [{"alg": "SHA-256", "content": files.digest(artefact)}]
    text = json.dumps({"metadata": {"component": {"hashes": hashes}}})
    artefact.with_name(artefact.name + artefacts.SBOM).write_text(text)


def test_what_is_ready_is_right(tree, dist):
    """Nothing is held against a tree, tag, changelog and files that are in order."""
    git(tree, "tag", "v1.2.0")
    for check in (repository.tag, repository.version_everywhere, repository.changelog):
        assert check(tree, VERSION) == []
    assert repository.clean_tree(tree) == files.complete(dist, VERSION) == files.sboms(dist) == []


def test_what_is_not_committed_is_named(tree):
    """A change, and a file that git does not know: the first five by name."""
    (tree / "CHANGELOG.md").write_text("")
    for number in range(6):
        (tree / f"new{number}").touch()
    (wrong,) = repository.clean_tree(tree)
    assert wrong == "not committed: CHANGELOG.md, new0, new1, new2, new3 and 2 more"


def test_a_tag_is_of_one_version_and_one_commit(tree):
    """A commit is not released under two names, nor a name twice."""
    git(tree, "tag", "v1.1.0")
    assert "v1.1.0; v1.2.0 would be right" in repository.tag(tree, VERSION)[0]
    git(tree, "tag", "--delete", "v1.1.0")
    git(tree, "tag", "v1.2.0")
    git(tree, "commit", "--quiet", "--allow-empty", "--message=more")
    assert repository.tag(tree, VERSION) == [
        "v1.2.0 is the tag of another commit; a version is released once"
    ]


def test_every_place_with_another_version_is_named_and_can_be_written(tree):
    """The five own versions and what they want of each other; what is wanted of others is left alone."""
    assert versions.bump(tree, "1.3.0") == 2 * len(versions.FOLDERS)
    wrong = repository.version_everywhere(tree, VERSION)
    assert "bpf/pyproject.toml: version is 1.3.0" in wrong
    assert "spale_tc/pyproject.toml: wants spale-core is 1.3.0" in wrong
    assert wrong[-1] == "tools/bump.py 1.2.0 writes it everywhere"
    assert 'attrs>=23.1"' in (tree / "bpf/pyproject.toml").read_text()
    assert repository.version_everywhere(tree, "1.3.0") == []


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("1.2", ""),
        ("1.2.0rc1", ""),
        ("v1.2.0", "1.2.0"),
        ("1.2.0-rc1", "1.2.0rc1"),
        ("1.2+mine", "1.2"),
        ("?", "1.0.0"),
    ],
)
def test_a_version_is_written_in_one_way(typed, right):
    """As PEP 440 writes it, so that names of files, tags and sections are the same."""
    assert right in versions.wrong_with(typed)
    assert bool(versions.wrong_with(typed)) == bool(right)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("# Changelog\n", "there is no section"),
        (CHANGELOG.replace("1.2.0", "1.2.1"), "the newest section is 1.2.1"),
        (CHANGELOG.replace("### Added\n\nA door.\n\n", ""), "the section of 1.2.0 is empty"),
    ],
)
def test_the_changelog_begins_with_this_version(tree, text, wrong):
    """What towncrier writes, and something in it."""
    (tree / "CHANGELOG.md").write_text(text)
    (found,) = repository.changelog(tree, VERSION)
    assert wrong in found


def test_no_fragment_is_left(tree):
    """What is in changes/ is not yet told to anybody."""
    (tree / "changes").mkdir()
    (tree / "changes/9.added.md").touch()
    (wrong,) = repository.changelog(tree, VERSION)
    assert "changes/ still has 9.added.md" in wrong


def test_a_file_that_is_missing_and_one_too_many(dist):
    """Each kind of artefact is there once; nothing of another version lies about."""
    (dist / "spale").unlink()
    (dist / "spale_tc-1.1.0.tar.gz").touch()
    assert files.complete(dist, VERSION) == [
        "spale_tc-1.1.0.tar.gz is no artefact of 1.2.0; remove it",
        "no one file",
        "nox -s build onefile deb makes all",
    ]


def test_an_sbom_is_of_exactly_this_file(dist):
    """Missing, unreadable, or of what the artefact was before."""
    (dist / "spale").write_text("another")
    (dist / f"spale_{VERSION}-1_amd64.deb.cdx.json").unlink()
    (dist / f"spale_bpf-{VERSION}.tar.gz.cdx.json").write_text("{}")
    assert files.sboms(dist) == [
        "spale: its SBOM is of another file; nox -s sbom writes it",
        "spale_1.2.0-1_amd64.deb: no SBOM; nox -s sbom writes it",
        "spale_bpf-1.2.0.tar.gz: its SBOM cannot be read; nox -s sbom writes it",
    ]


def test_what_was_rebuilt_is_the_same_or_named(dist, tmp_path):
    """To the byte, each file of both folders; the sums are what sha256sum reads."""
    again = shutil.copytree(dist, tmp_path / "again")
    assert files.same(dist, again) == []
    (again / "spale").write_text("another")
    (again / NAMES[0]).unlink()
    (dist / NAMES[1]).unlink()
    wrong = files.same(dist, again)
    assert [line.split(" is ")[0] for line in wrong] == ["spale", NAMES[0], NAMES[1]]
    sums = files.write_sums(dist).read_text().splitlines()
    assert f"{files.digest(dist / 'spale')}  spale" in sums
    assert not files.same(dist, dist)


def test_all_is_printed_and_one_mistake_is_enough(capsys):
    """A checklist is read to its end."""
    assert print_all([Check("a", []), Check("b", [])])
    assert not print_all([Check("a", ["this", "that"]), Check("b", [])])
    assert capsys.readouterr().out == "✓ a\n✓ b\n✗ a\n    this\n    that\n✓ b\n"


def test_this_tree_can_be_bumped(tmp_path):
    """The real files have the version in the forms that are looked for, and in no other."""
    root = Path(__file__).resolve().parents[2]
    for folder in versions.FOLDERS:
        (tmp_path / folder).mkdir()
        shutil.copy(root / folder / "pyproject.toml", tmp_path / folder)
    (old,) = {version for _, version in versions.stated(root)}
    versions.bump(tmp_path, "9.8.7")
    texts = [(tmp_path / folder / "pyproject.toml").read_text() for folder in versions.FOLDERS]
    assert not [text for text in texts if old in text]
