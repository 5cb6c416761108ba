# SPDX-License-Identifier: MIT
"""The lines of the management socket: JSON-RPC 2.0, and whatever else comes is answered in words."""

from __future__ import annotations

import json

import pytest

from spale_core.control import wire
from spale_core.control.wire import Call, Problem

GOOD = {"jsonrpc": "2.0", "id": 1, "method": "hello"}


def changed(**changes):
    """Return the line of a call with these changes; None leaves an entry out."""
    value = {key: each for key, each in {**GOOD, **changes}.items() if each is not None}
    return json.dumps(value).encode()


@pytest.mark.parametrize(("number", "params"), [(1, {}), (0, {"a": [1]}), (-1, {}), ("x" * 64, {})])
def test_what_is_called_is_understood(number, params):
    """Numbers and short texts are ids."""
    line = wire.call(number, "hello", params)
    assert line.endswith(b"\n")
    assert wire.parse(line[:-1]) == Call(number, "hello", params)


def test_params_may_be_missing():
    """Then there are none."""
    assert wire.parse(changed()) == Call(1, "hello", {})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"\xff",
        b"null null",
        b"[" * 65000,
        b"9" * 5000,
        b'{"id": NaN}',
        b'{"a":' * 10000,
    ],
)
def test_no_json(line):
    """Not in UTF-8, not whole, too deep, too long a number: there is no id to answer to."""
    found = wire.parse(line)
    assert (found.code, found.id) == (wire.NOT_JSON, None)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"null", None),
        (b"[]", None),
        (b'"hello"', None),
        (b"[" + changed() + b"]", None),
        (changed(id=None), None),
        (changed(id=1.5), None),
        (changed(id=True), None),
        (changed(id=2**64), None),
        (changed(id="x" * 65), None),
        (changed(id=[1]), None),
        (changed(jsonrpc="1.0"), 1),
        (changed(jsonrpc=None), 1),
        (changed(method=None), 1),
        (changed(method=7), 1),
        (changed(more=1), 1),
    ],
)
def test_no_call(line, number):
    """Batches and notifications neither."""
    found = wire.parse(line)
    assert (found.code, found.id) == (wire.NO_CALL, number)


@pytest.mark.parametrize("params", [[], [1], "a", 7, True])
def test_params_have_names(params):
    """A list of them is refused."""
    assert wire.parse(changed(params=params)) == Problem(
        wire.BAD_PARAMS, "params is an object: name each of them", 1
    )


def test_what_is_answered():
    """A result, also in pieces, or an error; always one line of ASCII."""
    result = wire.result(7, {"a": "ü\ud800\n"})
    assert result == wire.opening(7) + wire.encode({"a": "ü\ud800\n"}) + wire.CLOSING
    assert json.loads(result) == {"jsonrpc": "2.0", "id": 7, "result": {"a": "ü\ud800\n"}}
    error = wire.error(Problem(64, "no\nway"))
    words = {"code": 64, "message": "no\nway"}
    assert json.loads(error) == {"jsonrpc": "2.0", "id": None, "error": words}
    for line in (result, error):
        assert line.isascii()
        assert line.index(b"\n") == len(line) - 1
