# SPDX-License-Identifier: MIT
"""Whatever comes over the management socket, it is answered, and nothing else happens."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

from control_lab import Lab
from hypothesis import given, settings
from hypothesis import strategies as st

from spale_core.control import wire
from spale_core.control.methods import METHODS
from spale_core.control.wire import Call, Problem

texts = st.text(max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(leaves, lambda each: st.lists(each) | st.dictionaries(texts, each), max_leaves=8)
names = st.sampled_from([*METHODS, "watch", ""]) | texts
parameters = st.dictionaries(
    st.sampled_from(["client", "source", "service", "ip"]) | texts, values, max_size=3
)
near_calls = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "id": st.integers() | texts | values,
        "method": names | values,
        "params": parameters | values,
        "more": values,
    },
)
lines = st.binary(max_size=200) | near_calls.map(lambda value: json.dumps(value).encode())


@given(line=st.binary() | lines)
def test_every_line_is_understood_or_named(line):
    """A call or a problem with a sentence; nothing is ever raised."""
    found = wire.parse(line)
    if isinstance(found, Problem):
        assert found.code in {wire.NOT_JSON, wire.NO_CALL, wire.BAD_PARAMS}
        assert found.message
    else:
        assert isinstance(found, Call)
        assert wire.parse(wire.call(found.id, found.method, found.params)[:-1]) == found


@given(number=st.integers(-(2**63), 2**63) | texts, value=values)
def test_every_answer_is_one_line(number, value):
    """That JSON reads as what was answered."""
    for line in (wire.result(number, value), wire.error(Problem(1, str(value), number))):
        assert line.count(b"\n") == 1
        assert json.loads(line)["id"] == number
    assert json.loads(wire.result(number, value))["result"] == value


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(lines, max_size=6), cuts=st.lists(st.integers(0, 1500), max_size=6))
def test_each_line_gets_one_answer(sent, cuts):
    """Whatever is in it, and however it is cut into pieces; and then the server answers as ever."""
    whole = b"".join(line.replace(b"\n", b" ") + b"\n" for line in sent)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        try:
            caller, answers = lab.caller(), []
            for begin, end in itertools.pairwise(edges):
                answers += lab.ask(caller, whole[begin:end])
            assert len(answers) == len(sent) or lab.desk.tells
            assert all(("result" in each) != ("error" in each) for each in answers)
            assert lab.call("hello")["protocol"] == wire.PROTOCOL
        finally:
            lab.close()
