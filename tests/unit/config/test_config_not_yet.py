# SPDX-License-Identifier: MIT
"""What spec.md lists and this version cannot do is refused with "not yet", never ignored."""

from __future__ import annotations

import pytest

from spale_core.errors import ConfigError, NotYetError

NOT_YET = {
    "LOADER=bcc": "bcc",
}


@pytest.mark.parametrize("line", NOT_YET)
def test_not_yet(lab, line):
    """The line and the words; exit code 78."""
    key, _, value = line.partition("=")
    (found,) = lab.mistakes(line)
    assert found == (
        f"LAB/spale.conf:7: {key}: '{value}' is not yet possible ({NOT_YET[line]}); leave {key} out"
    )
    with pytest.raises(NotYetError) as caught:
        lab.load(line)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    "line",
    [
        "LOADER=libbpf",
        "STORE=memory",
        "STORE=sqlite",
        "MODE=xdp",
        "XDP_MODE=native",
    ],
)
def test_what_asks_for_nothing_new_is_fine(lab, line):
    """A value that says what this version does anyway is accepted."""
    lab.load(line)


def test_options_that_are_not_yet(lab):
    """An option is called by its name."""
    (found,) = lab.mistakes(options={"LOADER": "bcc"})
    assert found == "--loader: 'bcc' is not yet possible (bcc); leave --loader out"


def test_a_real_mistake_outweighs(lab):
    """NotYetError is raised only where nothing else is wrong."""
    with pytest.raises(ConfigError) as caught:
        lab.load("LOADER=bcc", "IDLE_SEC=x")
    assert not isinstance(caught.value, NotYetError)
    assert len(str(caught.value).splitlines()) == 2


def test_a_value_that_would_never_do_is_a_mistake(lab):
    """Judged first: later versions will not take it either."""
    (found,) = lab.mistakes("PIN_MAPS=maybe")
    assert found.endswith("'maybe' is neither yes nor no; write 1 or 0")
