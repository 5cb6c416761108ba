# SPDX-License-Identifier: MIT
"""Nothing that a stranger or a file name contains can forge a line."""

from __future__ import annotations

import ast
import re

from hypothesis import given
from hypothesis import strategies as st

from spale_core import events
from spale_core.log import format_event, quote

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text('=" \\\n\r\t\x1b')
PAIR = re.compile(r'([a-z_]+)=([A-Za-z0-9._:/,+%@-]+|"(?:[^"\\]|\\.)*")')


def unquoted(value):
    """Return what `quote` made `value` from; its escapes are Python's."""
    return ast.literal_eval(value) if value.startswith('"') else value


@given(ANY_TEXT)
def test_quoting_can_be_undone(text):
    """What is logged is what there was, no more and no less."""
    assert unquoted(quote(text)) == text


@given(ANY_TEXT)
def test_a_quoted_value_is_one_word_of_printable_ascii(text):
    """No control character, no line's end, no terminal escape."""
    assert re.fullmatch(r"[\x20-\x7e]+", quote(text))
    assert PAIR.fullmatch(f"key={quote(text)}")


@given(ANY_TEXT, ANY_TEXT)
def test_a_line_has_exactly_its_own_pairs(doing, message):
    """Values cannot begin a key of their own."""
    line = format_event(events.Failed(doing=doing, message=message))
    word, _, rest = line.partition(" ")
    pairs = PAIR.findall(rest)
    assert word == "error"
    assert [(key, unquoted(value)) for key, value in pairs] == [("doing", doing), ("message", message)]
    assert " ".join(f"{key}={value}" for key, value in pairs) == rest
