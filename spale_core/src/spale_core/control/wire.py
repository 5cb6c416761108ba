# SPDX-License-Identifier: MIT
"""What is said over the management socket: JSON-RPC 2.0, one object per line, UTF-8. No I/O.

Of the specification this leaves out batches and notifications: each call has an ``id`` and gets one answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL: Final = 1
"""The version of what `methods` has; another one means that something got another meaning."""

MAX_LINE: Final = 8192
"""The longest call in bytes, its end included: to read it takes half a millisecond, whatever is in it."""

NOT_JSON: Final = -32700
NO_CALL: Final = -32600
NO_METHOD: Final = -32601
BAD_PARAMS: Final = -32602

Id = int | str

_VERSION: Final = "2.0"
_CALL_KEYS: Final = frozenset({"jsonrpc", "id", "method", "params"})
_MAX_ID: Final = 64
_MAX_ID_BITS: Final = 64


@frozen
class Call:
    """A method is to be called with `params`."""

    id: Id
    method: str
    params: Mapping[str, Any]


@frozen
class Problem:
    """What a peer gets in place of a result: a number for programs, a sentence for people."""

    code: int
    message: str
    id: Id | None = None


def parse(line: bytes) -> Call | Problem:
    """Return the call in `line`, which is without its end, or what is wrong with it; raise nothing."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Problem(NOT_JSON, "this is no JSON in one line of UTF-8")
    if not isinstance(value, dict):
        return Problem(NO_CALL, "this is no call: write one JSON object per line")
    number = _read_id(value.get("id"))
    if number is None:
        return Problem(NO_CALL, f"a call needs an id: a number, or a text of at most {_MAX_ID} characters")
    wrong = _fault(value)
    if wrong is not None:
        return Problem(NO_CALL, wrong, number)
    params = value.get("params", {})
    if not isinstance(params, dict):
        return Problem(BAD_PARAMS, "params is an object: name each of them", number)
    return Call(number, value["method"], params)


def encode(value: object) -> bytes:
    """Return `value` as JSON, in ASCII."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def call(number: Id, method: str, params: Mapping[str, Any]) -> bytes:
    """Return the line of a call."""
    return encode({"jsonrpc": _VERSION, "id": number, "method": method, "params": params}) + b"\n"


def opening(number: Id) -> bytes:
    """Return what is before a result: the result itself and `CLOSING` make a line of it."""
    return b'{"jsonrpc":"%s","id":%s,"result":' % (_VERSION.encode("ascii"), encode(number))


CLOSING: Final = b"}\n"


def result(number: Id, value: object) -> bytes:
    """Return the line that answers a call."""
    return opening(number) + encode(value) + CLOSING


def error(problem: Problem) -> bytes:
    """Return the line that says why there is no result."""
    words = {"code": problem.code, "message": problem.message}
    return encode({"jsonrpc": _VERSION, "id": problem.id, "error": words}) + b"\n"


def _fault(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a call apart from id and params."""
    if value.get("jsonrpc") != _VERSION:
        return f'"jsonrpc" is not "{_VERSION}"'
    if not isinstance(value.get("method"), str):
        return "method is no text"
    if value.keys() - _CALL_KEYS:
        return "a call has jsonrpc, id, method and params, and nothing else"
    return None


def _read_id(value: object) -> Id | None:
    """Return `value`, None if it can be no id."""
    if isinstance(value, str) and len(value) <= _MAX_ID:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MAX_ID_BITS:
        return value
    return None


def _refuse_constant(_name: str) -> NoReturn:
    """Refuse NaN and the infinities, which JSON does not know."""
    raise ValueError
