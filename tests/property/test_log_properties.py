# SPDX-License-Identifier: MIT
"""Nothing that a stranger or a file name contains can forge a line, whatever event has it, and wherever."""

from __future__ import annotations

import ast
import os
import re
import typing
from contextlib import ExitStack, closing
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_events_all import kinds

from spale_core import events, model
from spale_core.events import Level
from spale_core.log import MAX_VALUE, format_event, quote
from spale_core.model import Protocol, Reason, Service, Source
from spale_core.stderr import Stderr
from spale_core.syslog import Syslog

FORGERY = "x\ngranted client=eve source=10.0.0.9\n<2>spale[1]: ready\x1b[2J\r\0 a=b \"c\" 'd' \\"
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text('=" \\\n\r\t\x1b<>[]:') | st.just(FORGERY)
SHORT = ANY_TEXT.filter(lambda text: len(quote(text)) <= MAX_VALUE)
PAIR = re.compile(r'([a-z_]+)=([A-Za-z0-9._:/,+%@-]+|"(?:[^"\\]|\\.)*")')
STDERR = re.compile(r"([\x20-\x7e]*) time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\n")
JOURNAL = re.compile(r"<(\d)>([\x20-\x7e]*)\n")
SYSLOG = re.compile(r"<(\d+)>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d spale\[\d+\]: ([\x20-\x7e]*)")
ADDRESSES = st.ip_addresses() | st.just(ip_address("fe80::1"))
VALUES = {
    str: SHORT,
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    Source: st.builds(Source, ADDRESSES, st.integers(0, 2)),
    Service: st.builds(Service, st.sampled_from(Protocol), st.integers(1, 65535)),
    IPv4Network: st.just(ip_network("10.0.0.0/8")),
    IPv6Network: st.just(ip_network("2001:db8::/32")),
    Reason: st.sampled_from(Reason),
}


def unquoted(value):
    """Return what `quote` made `value` from; its escapes are Python's."""
    return ast.literal_eval(value) if value.startswith('"') else value


def strategy(kind):
    """Return what makes any value that an event's attribute of that type can have."""
    if typing.get_origin(kind) is tuple:
        return st.lists(strategy(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if typing.get_args(kind):
        return st.one_of(map(strategy, typing.get_args(kind)))
    return st.none() if kind is type(None) else VALUES[kind]


def any_event(kind):
    """Return what makes any event of that class."""
    hints = typing.get_type_hints(kind, localns={**vars(model), "Network": IPv4Network | IPv6Network})
    made = {attribute.name: strategy(hints[attribute.name]) for attribute in attrs.fields(kind)}
    return st.builds(kind, **made)


def pairs(line):
    """Return the word of a line and its pairs; there is nothing else in it."""
    word, _, rest = line.partition(" ")
    found = PAIR.findall(rest)
    assert " ".join(f"{key}={value}" for key, value in found) == rest
    return word, [(key, unquoted(value)) for key, value in found]


@given(ANY_TEXT)
def test_quoting_can_be_undone(text):
    """What is logged is what there was, no more and no less."""
    assert unquoted(quote(text)) == text


@given(ANY_TEXT)
def test_a_quoted_value_is_one_word_of_printable_ascii(text):
    """No control character, no line's end, no terminal escape."""
    assert re.fullmatch(r"[\x20-\x7e]+", quote(text))
    assert PAIR.fullmatch(f"key={quote(text)}")


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data(), name=SHORT)
def test_a_line_has_exactly_its_own_pairs(kind, data, name):
    """Of every event there is: what texts hold, its own, of interfaces and in lists, begins no key."""
    event = data.draw(any_event(kind))
    word, found = pairs(format_event(event, {1: name}))
    assert word == kind.word
    own = {each.name: getattr(event, each.name) for each in attrs.fields(kind)}
    assert [key for key, _ in found] == [key for key, value in own.items() if value not in (None, ())]
    for key, value in found:
        if isinstance(own[key], str):
            assert value == own[key]
        elif isinstance(own[key], Source) and own[key].ifindex == 1 and len(quote(name)) < MAX_VALUE - 50:
            assert value == f"{own[key].address}%{name}"


@pytest.fixture(scope="module")
def ways():
    """Return the three ways out: stderr with times, with priorities for the journal, and syslog."""
    status = os.fstat(2)
    journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    with ExitStack() as stack:
        yield [stack.enter_context(closing(way)) for way in (Stderr(2, {}), Stderr(2, journal), Syslog())]


@given(level=st.sampled_from(Level), doing=SHORT, message=SHORT)
def test_no_frame_can_be_forged(ways, level, doing, message):
    """On stderr with its time, in the journal behind its priority, in syslog behind its head: one line."""
    line = format_event(events.Failed(doing=doing, message=message))
    own = ("error", [("doing", doing), ("message", message)])
    stamped, journal, syslog = (way.frame(level, 0, line).decode("ascii") for way in ways)
    assert pairs(STDERR.fullmatch(stamped)[1]) == own
    priority, rest = JOURNAL.fullmatch(journal).groups()
    assert int(priority) == level
    assert pairs(rest) == own
    head, rest = SYSLOG.fullmatch(syslog).groups()
    assert int(head) == 24 + level
    assert pairs(rest) == own


@given(st.text(st.characters(exclude_categories=()), min_size=400, max_size=3000))
def test_a_long_value_is_cut(text):
    """So that a line fits into a pipe at once: its beginning is told, and how much more there is."""
    line = format_event(events.Warned(message=text))
    assert len(line) <= MAX_VALUE + len("warning message=")
    ((_, value),) = pairs(line)[1]
    if value != text:
        shown, more = re.fullmatch(r"(.*)\.\.\. \((\d+) more\)", value, re.DOTALL).groups()
        assert text.startswith(shown)
        assert len(shown) + int(more) == len(text)
