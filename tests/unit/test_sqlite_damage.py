# SPDX-License-Identifier: MIT
"""State files that are not what was written: none is believed, none deleted, and it is said."""

from __future__ import annotations

import os
import random
import sqlite3

import pytest
from store_lab import HERE, THERE, Lab

from spale_core.errors import StoreError


@pytest.fixture
def lab(tmp_path):
    """Return a lab whose state file has seen a daemon: one grant and two datagrams."""
    lab = Lab(tmp_path / "state", tmp_path / "run")
    with lab.opened() as store:
        lab.hold(store)
        assert lab.use(store, 1)
        assert lab.use(store, 2)
    lab.said.clear()
    lab.host.clock.advance(300)
    return lab


def starts_anew(lab):
    """Tell whether a daemon starts, knows nothing, says so, and leaves a file that the next one believes."""
    with lab.opened() as store:
        fresh = store.memory_lost and store.lost_unix_ms == lab.host.clock.unix_ms()
        fresh = fresh and (list(store.live()), list(store.identities())) == ([], [])
        lab.hold(store, source=THERE)
    (message,) = lab.said
    with lab.opened() as store:
        believed = not store.memory_lost and [h.grant.source for h in store.live()] == [THERE]
    return fresh and believed and str(lab.path) in message and lab.said == [message]


def knowledge(store):
    """Return all that a store tells."""
    return list(store.live()), set(store.identities()), store.lost_unix_ms


def put_aside(lab):
    """Return the files that were moved aside."""
    files = [path for path in lab.folder.iterdir() if not path.name.endswith("-journal")]
    return [path for path in files if ".damaged-" in path.name]


def test_missing(lab):
    """It begins anew."""
    lab.path.unlink()
    assert starts_anew(lab)
    assert lab.files() == ["spale.db"]


def test_no_folder_at_all(tmp_path):
    """Folders are made as they are needed."""
    lab = Lab(tmp_path / "a" / "b", tmp_path / "run")
    assert starts_anew(lab)


def test_it_is_moved_aside_under_a_name_with_the_time(lab):
    """With its content, and the message has the name."""
    lab.path.write_bytes(b"nothing of the kind")
    assert starts_anew(lab)
    (aside,) = put_aside(lab)
    assert aside.name == "spale.db.damaged-20231114T221830Z"
    assert aside.read_bytes() == b"nothing of the kind"
    assert str(aside) in lab.said[0]


def test_a_second_one_in_the_same_second(lab):
    """Does not overwrite the first one."""
    for content in (b"one", b"two"):
        lab.path.write_bytes(content)
        lab.make().close()
    assert sorted(path.read_bytes() for path in put_aside(lab)) == [b"one", b"two"]


@pytest.mark.parametrize("sixteenths", range(16))
def test_truncated(lab, sixteenths):
    """Wherever the file ends, it is not believed, unless what is gone was empty."""
    with lab.opened() as store:
        known = knowledge(store)
    os.truncate(lab.path, lab.path.stat().st_size * sixteenths // 16)
    with lab.killed() as store:
        as_it_was = not store.memory_lost and knowledge(store) == known
        assert as_it_was or (store.memory_lost and len(put_aside(lab)) == 1)
        assert sixteenths > 11 or not as_it_was


def test_truncated_after_a_crash(lab):
    """Also if the daemon was killed, and in the same boot."""
    with lab.killed() as store:
        assert lab.use(store, 3)
    lab.said.clear()
    os.truncate(lab.path, lab.path.stat().st_size - 4096)
    assert starts_anew(lab)


def test_killed_in_the_middle_of_a_transaction(lab):
    """The journal takes it back: what was there before is there again, and believed."""
    with lab.opened() as store:
        known = knowledge(store)
    with lab.killed() as store:
        writer = store._file._database._connection
        # More pages than the cache holds: some are in the file before the transaction ends.
        writer.execute("PRAGMA cache_size = 5")
        writer.execute("BEGIN")
        writer.execute("DELETE FROM used")
        for _ in range(1000):
            writer.execute("INSERT INTO marks VALUES (?, 0)", (os.urandom(32),))
        half, journal = lab.path.read_bytes(), lab.path.with_name("spale.db-journal").read_bytes()
    lab.path.write_bytes(half)
    lab.path.with_name("spale.db-journal").write_bytes(journal)
    with lab.opened() as store:
        assert (store.memory_lost, knowledge(store)) == (False, known)


def test_pages_of_two_times(lab):
    """A file of which some pages are older than others, as a disk may leave it, is not believed."""
    with lab.killed() as store:
        for number in range(10, 200):
            lab.use(store, number)
        before, known_before = lab.path.read_bytes(), knowledge(store)
        for number in range(200, 390):
            lab.use(store, number)
        lab.hold(store, "bob")
        after, known_after = lab.path.read_bytes(), knowledge(store)
    pages = [(after[at : at + 4096], before[at : at + 4096]) for at in range(0, len(after), 4096)]
    chance = random.Random(1)  # noqa: S311 - a choice of pages, no secret
    lost = 0
    for _ in range(50):
        lab.path.write_bytes(b"".join(chance.choice(pair) for pair in pages))
        with lab.killed() as store:
            assert store.memory_lost or knowledge(store) in (known_before, known_after)
            lost += store.memory_lost
    assert lost > 40


def test_every_byte_counts(lab):
    """One changed byte anywhere is found, or it changes nothing that is known."""
    with lab.opened() as store:
        known = knowledge(store)
    whole = lab.path.read_bytes()
    chance = random.Random(1)  # noqa: S311 - a choice of places, no secret
    for _ in range(300):
        place = chance.randrange(len(whole))
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        lab.path.write_bytes(changed)
        if changed[60:64] > whole[60:64]:
            with pytest.raises(StoreError, match="newer spale"):
                lab.make()
            continue
        with lab.opened() as store:
            assert store.memory_lost or knowledge(store) == known
        for left in lab.folder.iterdir():
            left.unlink()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM used WHERE enc = (SELECT min(enc) FROM used)",
        "DELETE FROM used",
        "DELETE FROM header",
        "UPDATE used SET unix_ms = unix_ms - 1",
        "UPDATE used SET unix_ms = 'noon'",
        "UPDATE holdings SET client = 'mallory'",
        "UPDATE holdings SET client = x'ff'",
        "UPDATE holdings SET port = 443",
        "UPDATE holdings SET idle_ns = -1",
        "UPDATE header SET lost_unix_ms = 0",
        "UPDATE header SET clean = 1, boot_id = 'boot 1'",
        "DROP TABLE marks",
        "ALTER TABLE used ADD COLUMN more",
        "DROP TABLE header; CREATE TABLE header (id INTEGER); INSERT INTO header VALUES (0)",
        "PRAGMA user_version = 0",
        "PRAGMA application_id = 0",
    ],
)
def test_what_no_spale_wrote(lab, statement):
    """A database that is sound, but does not say what was written."""
    with lab.killed():
        pass
    connection = sqlite3.connect(lab.path, isolation_level=None)
    connection.executescript(statement)
    connection.close()
    lab.said.clear()
    assert starts_anew(lab)


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_no_regular_file(lab, kind):
    """Nothing is opened through it, and it is moved aside as it is."""
    elsewhere = lab.folder.with_name("elsewhere")
    lab.path.rename(elsewhere)
    before = elsewhere.read_bytes()
    make = {
        "folder": lab.path.mkdir,
        "link": lambda: lab.path.symlink_to(elsewhere),
        "fifo": lambda: os.mkfifo(lab.path),
    }
    make[kind]()
    assert starts_anew(lab)
    assert "no regular file" in lab.said[0]
    assert elsewhere.read_bytes() == before


def test_from_a_newer_version(lab):
    """Is refused with words; nothing is moved or changed."""
    connection = sqlite3.connect(lab.path)
    connection.execute("PRAGMA user_version = 4")
    connection.close()
    before = lab.path.read_bytes()
    with pytest.raises(StoreError, match="version 4, and this spale knows none after 3") as caught:
        lab.make()
    assert caught.value.exit_code == 69
    assert (lab.path.read_bytes(), put_aside(lab)) == (before, [])


def test_a_draft_that_was_left_behind(lab):
    """A daemon that was killed while it began anew leaves no trouble."""
    lab.path.rename(lab.folder / "spale.db.new")
    assert starts_anew(lab)
    assert lab.files() == ["spale.db"]


def test_a_journal_that_was_left_behind(lab):
    """Is never taken for the next file's."""
    with lab.killed() as store:
        writer = store._file._database._connection
        writer.execute("PRAGMA cache_size = 5")
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO marks VALUES (?, 0)", ((os.urandom(32),) for _ in range(1000)))
        journal = lab.path.with_name("spale.db-journal").read_bytes()
    lab.path.unlink()
    lab.path.with_name("spale.db-journal").write_bytes(journal)
    lab.said.clear()
    assert starts_anew(lab)


def test_the_source_is_in_nobodys_way(lab):
    """What is held when it is damaged while a daemon runs is in memory: the next start finds it all."""
    with lab.opened() as store:
        holding = lab.hold(store, "bob", HERE)
        store._file._database._connection.execute("DROP TABLE holdings")
        lab.hold(store, "bob", THERE)
        assert "going on in memory" in lab.said[-1]
    with lab.opened() as store:
        assert not store.memory_lost
        assert holding in list(store.live())
