# SPDX-License-Identifier: MIT
"""Nothing that somebody else may write is read, and no server key that somebody else may read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from spale_core.config.files import read_in_folder, read_trusted, refuse_untrusted, trusted_folder
from spale_core.config.mistakes import BadValueError

STRANGER = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def refusal(path, *, secret=False) -> str:
    """Return why `path` is not read."""
    with pytest.raises(BadValueError) as caught:
        read_trusted(path, secret=secret)
    return str(caught.value)


def test_a_file_of_ours_is_read(tmp_path):
    """The content comes back byte for byte, NUL and all."""
    (tmp_path / "file").write_bytes(b"a\0\xff")
    assert read_trusted(tmp_path / "file") == b"a\0\xff"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("which", ["spale.conf", "server.key", "clients/admin.pem"])
def test_a_file_that_others_may_write_is_refused(lab, which, mode):
    """Group or others, configuration or keys: the mode and the remedy are named."""
    lab.put()
    (lab.folder / which).chmod(mode)
    (found,) = lab.mistakes_of_file()
    verb, right = ("read", "go=") if which == "server.key" else ("written", "go-w")
    words = f"LAB/{which} may be {verb} by others (mode {mode:04o}); chmod {right} LAB/{which}"
    assert found.endswith(f": {words}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_a_server_key_that_others_may_read_is_refused(lab, mode):
    """Whoever has it can knock as anybody."""
    lab.server_key.chmod(mode)
    (found,) = lab.mistakes()
    assert found == (
        f"LAB/spale.conf:4: SERVER_KEY: LAB/server.key may be read by others (mode {mode:04o}); "
        "chmod go= LAB/server.key"
    )


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_is_refused(lab, mode):
    """They could put in a client of their own."""
    lab.clients.chmod(mode)
    (found,) = lab.mistakes()
    assert found == (
        f"LAB/spale.conf:5: CLIENTS_DIR: LAB/clients may be written by others (mode {mode:04o}); "
        "chmod go-w LAB/clients"
    )


def test_a_parent_that_others_may_write_is_refused(tmp_path):
    """They could rename the folder below and put another in its place."""
    inner = tmp_path / "open" / "inner"
    inner.mkdir(parents=True, mode=0o700)
    (inner / "file").write_text("x")
    (tmp_path / "open").chmod(0o777)
    parent = tmp_path / "open"
    assert refusal(inner / "file") == f"{parent} may be written by others (mode 0777); chmod go-w {parent}"


def test_a_sticky_parent_is_no_mistake(tmp_path):
    """As in /tmp: others may add, but not rename or replace what is ours."""
    own = tmp_path / "sticky" / "own"
    own.mkdir(parents=True)
    own.parent.chmod(0o1777)
    (own / "file").write_text("x")
    assert read_trusted(own / "file") == b"x"


def test_a_file_right_in_a_sticky_folder_is_refused(tmp_path):
    """Others could have put it there: by a hard link to what root wrote elsewhere, or by a rename."""
    tmp_path.chmod(0o1777)
    (tmp_path / "file").write_text("x")
    assert refusal(tmp_path / "file") == (
        f"{tmp_path}/file is in a folder where others may put files (mode 1777);"
        " move it to one that is yours alone"
    )


@needs_root
def test_what_somebody_else_owns_is_refused(tmp_path):
    """A file, its folder, a parent, sticky or not: its owner may write it, whatever the mode."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "file"
    file.write_text("x")
    file.chmod(0o400)
    os.chown(file, STRANGER, -1)
    assert refusal(file) == f"{file} belongs to uid 65534; chown it to root"
    os.chown(file, 0, -1)
    os.chown(folder, STRANGER, -1)
    assert refusal(file) == f"{folder} belongs to uid 65534; chown it to root"
    folder.chmod(0o1777)
    assert refusal(file) == f"{folder} belongs to uid 65534; chown it to root"


def test_the_last_name_may_not_be_a_link(tmp_path):
    """Somebody else's idea of where the file is does not count."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    link = tmp_path / "link"
    assert refusal(link) == f"{link} is a symbolic link; name what it points to"


def test_a_folder_on_the_way_may_be_a_link_of_ours(tmp_path):
    """As /var/run is: it is followed name by name, and all that it leads through is judged too."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "real" / "deep" / "file").write_text("x")
    (tmp_path / "relative").symlink_to("real/../real/deep")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    assert read_trusted(tmp_path / "absolute" / "file") == b"x"
    (tmp_path / "real").chmod(0o777)
    assert f"{tmp_path}/real may be written" in refusal(tmp_path / "absolute" / "file")


@needs_root
def test_a_link_of_somebody_else_is_not_followed(tmp_path):
    """In a sticky folder its owner could let it point elsewhere."""
    tmp_path.chmod(0o1777)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to("real")
    os.chown(tmp_path / "link", STRANGER, -1, follow_symlinks=False)
    assert "belongs to uid 65534" in refusal(tmp_path / "link" / "file")


def test_links_that_go_round_end(tmp_path):
    """A loop is an error, not a hang."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "too many symbolic links" in refusal(tmp_path / "a" / "file")


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    """A pipe does not block the start, a device is not read without end."""
    path = {"folder": tmp_path / "folder", "fifo": tmp_path / "fifo", "device": Path("/dev/zero")}[kind]
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    assert refusal(path) == f"{path} is no regular file; name a file"


def test_what_is_not_there_is_said(tmp_path):
    """The name that is missing is named, be it a folder on the way."""
    assert refusal(tmp_path / "no" / "file") == f"{tmp_path}/no does not exist; create it, or name another"
    assert refusal(tmp_path / "file") == f"{tmp_path}/file does not exist; create it, or name another"
    (tmp_path / "file").write_text("x")
    assert refusal(tmp_path / "file" / "x") == f"{tmp_path}/file is no folder; name a folder"


def test_a_huge_file_is_not_read(tmp_path):
    """A sparse file costs its maker nothing and us nothing either."""
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    assert "at most 16777216 are read" in refusal(tmp_path / "huge")


def test_a_name_that_breaks_lines_is_escaped(tmp_path):
    """A file name is a stranger's text too."""
    assert "'" + str(tmp_path) + "/a\\nb' does not exist" in refusal(tmp_path / "a\nb")


def test_a_file_in_a_folder_is_judged_by_the_same_rules(tmp_path):
    """The clients' keys are opened relative to the folder that was judged."""
    tmp_path.chmod(0o700)
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    with trusted_folder(tmp_path) as folder:
        assert read_in_folder(folder, tmp_path, "a") == b"x"
        with pytest.raises(BadValueError, match="symbolic link"):
            read_in_folder(folder, tmp_path, "b")


def test_a_swapped_folder_is_not_used(tmp_path):
    """What was judged is what is read, though the path leads elsewhere by now."""
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "a").write_text("judged")
    with trusted_folder(tmp_path / "clients") as folder:
        (tmp_path / "clients").rename(tmp_path / "old")
        (tmp_path / "clients").mkdir()
        (tmp_path / "clients" / "a").write_text("swapped")
        assert read_in_folder(folder, tmp_path / "clients", "a") == b"judged"


def test_a_state_folder_need_not_exist(tmp_path):
    """It is judged by the nearest parent that does; a file in its place is a mistake."""
    refuse_untrusted(tmp_path / "not" / "there")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadValueError, match="is no folder"):
        refuse_untrusted(tmp_path / "file")
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    for path in (tmp_path / "state", tmp_path / "state" / "deeper"):
        with pytest.raises(BadValueError, match="may be written by others"):
            refuse_untrusted(path)


def test_a_relative_path_is_judged_from_the_working_folder(tmp_path, monkeypatch):
    """Parents are judged all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    assert read_trusted("file") == b"x"
    tmp_path.chmod(0o777)
    assert "may be written" in refusal("file")


def test_the_sticky_folder_of_this_host_is_fine():
    """What we make in /tmp can be used at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_text("x")
        assert read_trusted(path) == b"x"


def test_no_descriptor_is_left_open(lab):
    """Neither after success nor after any refusal."""
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the same call twice
    lab.load()
    lab.clients.chmod(0o777)
    lab.server_key.chmod(0o644)
    lab.mistakes(f"STATE_DIR={lab.folder}/a/b/c")
    lab.folder.chmod(0o777)
    lab.mistakes()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - see above
