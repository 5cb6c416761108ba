# SPDX-License-Identifier: MIT
"""Tables and times as people read them."""

from __future__ import annotations

import pytest

from spale_core.cli.tables import Column, Row, ago, ahead, counted, paragraph, plain, span, table, word

COLUMNS = (Column("SOURCE", whole=True), Column("COUNT", is_number=True), Column("WHAT"))
LONG6 = "2001:db8:7:1234:5678:9abc:def0:17"


def test_columns_are_as_wide_as_what_is_in_them():
    """Numbers to the right, nothing behind the last word."""
    lines = list(table(COLUMNS, [Row(("192.0.2.7", "12345678", "junk")), Row(("192.0.2.77", "1", ""))]))
    assert lines == [
        "SOURCE         COUNT  WHAT",
        "192.0.2.7   12345678  junk",
        "192.0.2.77         1",
    ]


def test_a_row_that_does_not_fit_gets_a_second_line():
    """The address stays whole, and the others keep their narrow columns."""
    columns = (Column("SOURCE", whole=True), Column("NAME"), Column("WHAT"))
    words = "has more than can be said in so few words, and so it goes on"
    rows = [Row((address, "a-client-of-20-chars", words)) for address in ("192.0.2.7", LONG6)]
    assert list(table(columns, rows))[1:] == [
        "192.0.2.7  a-client-of-20-chars  has more than can be said in so few words, and",
        "                                 so it goes on",
        LONG6,
        "           a-client-of-20-chars  has more than can be said in so few words, and",
        "                                 so it goes on",
    ]


def test_a_name_that_is_too_long_is_broken():
    """Only addresses may be wider than the screen."""
    columns = (Column("NAME"), Column("SOURCE", whole=True))
    lines = list(table(columns, [Row(("n" * 100, "a" * 100))]))
    assert lines[1:] == ["n" * 80, "n" * 20, "a" * 100]


def test_notes_stand_below_their_row():
    """Indented, and wrapped as well."""
    lines = list(table(COLUMNS, [Row(("192.0.2.7", "1", "x"), ("word " * 20,))]))
    assert lines[2:] == ["  " + "word " * 14 + "word", "  " + "word " * 4 + "word"]


def test_paragraphs_have_labels():
    """A label stands before the first line; it has its own where an address needs the room."""
    assert list(paragraph("word " * 5, 8, "name")) == ["name    word word word word word"]
    assert list(paragraph("a" * 78, 8, "name")) == ["name", "  " + "a" * 78]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (299, "4 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172799, "47 h"),
        (172800, "2 days"),
        (2**31 - 1, "24855 days"),
        (None, "without end"),
    ],
)
def test_spans(seconds, words):
    """One unit, rounded down."""
    assert span(seconds) == words


def test_moments():
    """Ahead, behind, now and never."""
    assert [ahead(250), ahead(0), ahead(-3), ahead(None)] == ["in 4 min", "now", "now", "never"]
    assert [ago(250), ago(0), ago(-3)] == ["4 min ago", "just now", "just now"]


def test_what_is_printed_is_printable():
    """Escapes of a terminal, ends of lines and letters that look like others are spelled out."""
    assert plain("a\x1b[2J\nb\u202eé") == "a\\x1b[2J\\nb\\u202e\\xe9"
    assert (word("two words"), word("")) == ("two\\x20words", "-")


def test_counts():
    """One is not many."""
    assert [counted(number, "grant") for number in (0, 1, 2)] == ["0 grants", "1 grant", "2 grants"]
