# SPDX-License-Identifier: MIT
"""Whatever is in a table, it keeps to its width and its lines."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from spale_core.cli.listings import LISTINGS
from spale_core.cli.tables import WIDTH, Column, Row, paragraph, plain, span, table, word

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200) | st.text(
    'a:. \\\n\r\t\x1b\x9b\u2028"', max_size=200
)
ADDRESSES = st.ip_addresses().map(str)
CELLS = ANY_TEXT | ADDRESSES | st.integers(0, 2**70).map(str)


@st.composite
def tables(draw):
    """Return the columns of one of our tables, rows of whatever for it, and notes."""
    columns = draw(st.sampled_from([each.columns for each in LISTINGS.values()]))
    rows = draw(
        st.lists(
            st.builds(Row, st.tuples(*(CELLS for _ in columns)), st.lists(ANY_TEXT, max_size=2).map(tuple)),
            max_size=5,
        )
    )
    return columns, rows


def fits(line, *, whole):
    """Tell whether a line has at most 80 columns, or is one address alone."""
    return len(line) <= WIDTH or (whole and " " not in line)


@given(tables())
def test_no_line_is_too_wide(drawn):
    """But for what is whole, alone in its line, and itself too wide."""
    columns, rows = drawn
    assert all(fits(line, whole=True) for line in table(columns, rows))


@given(tables())
def test_what_is_not_whole_is_never_too_wide(drawn):
    """Without addresses and notes there is no exception."""
    columns, rows = drawn
    plain_columns = [Column(column.title, column.is_number) for column in columns]
    assert all(len(line) <= WIDTH for line in table(plain_columns, [Row(row.cells) for row in rows]))


@given(tables())
def test_nothing_forges_a_line(drawn):
    """Only printable ASCII, no line's end inside a line, and no line that has no row."""
    columns, rows = drawn
    lines = list(table(columns, rows))
    assert all(re.fullmatch(r"[\x20-\x7e]*", line) for line in lines)
    assert all(line == line.rstrip() for line in lines)


@given(tables())
def test_nothing_is_lost(drawn):
    """All that was to be printed is there, in its order; only blanks may differ."""
    columns, rows = drawn
    cells = [column.title for column in columns]
    for row in rows:
        cells += [*row.cells, *row.notes]
    wanted = "".join(plain(cell).replace(" ", "") for cell in cells)
    assert "".join(table(columns, rows)).replace(" ", "") == wanted


@given(st.lists(ADDRESSES, min_size=1, max_size=5), CELLS)
def test_addresses_are_never_cut(addresses, text):
    """Each stands whole in a line."""
    columns = (Column("NAME"), Column("ADDRESS", whole=True), Column("WHAT"))
    lines = list(table(columns, [Row((text, address, text)) for address in addresses]))
    words = {each for line in lines for each in line.split()}
    assert all(address in words for address in addresses)


@given(ANY_TEXT, st.integers(0, 40))
def test_paragraphs(text, indent):
    """They keep to the same rules."""
    lines = list(paragraph(text, indent, "label"[: max(0, indent - 1)]))
    assert all(fits(line.strip(), whole=True) and re.fullmatch(r"[\x20-\x7e]*", line) for line in lines)


@given(ANY_TEXT)
def test_words(text):
    """A word has no blank, and something in it."""
    assert re.fullmatch(r"[\x21-\x7e]+", word(text))


@given(st.integers(0, 2**40))
def test_a_span_is_never_longer_than_it_is(seconds):
    """Rounded down by less than one unit, and by no more than a half."""
    number, unit = span(seconds).split()
    length = {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert int(number) * length <= seconds < (int(number) + 1) * length
    assert int(number) >= 2 or length == 1
