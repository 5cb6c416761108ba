# SPDX-License-Identifier: MIT
"""Clients of the original C program: AUTH and NAME_AUTH name hpke-v1, and nobody else has it."""

from __future__ import annotations

import pytest

PLUGINS = ("hpke", "hpke-v1", "memory", "sqlite", "tc", "xdp")
BOTH = "AUTH=hpke,hpke-v1"
UNUSED = "AUTH: hpke-v1 is listed, but no client has NAME_AUTH=hpke-v1; leave it out"


def test_a_client_has_it_by_name(lab):
    """The others stay with version 2."""
    lab.add_client("old-laptop")
    settings = lab.load(BOTH, "OLD_LAPTOP_AUTH=hpke-v1", available=PLUGINS)
    assert [(client.name, client.is_v1) for client in settings.clients] == [
        ("admin", False),
        ("old-laptop", True),
    ]
    assert settings.v1_clients == (1,)
    assert UNUSED not in settings.warnings


def test_it_is_no_dataplane(lab):
    """A plugin that is installed for it is not taken for an enforcer."""
    assert lab.load(available=("hpke", "hpke-v1", "sqlite", "xdp")).dataplane == "xdp"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["ADMIN_AUTH=hpke-v1"],
            "LAB/spale.conf:7: ADMIN_AUTH: client admin uses 'hpke-v1', which AUTH does",
        ),
        (["AUTH=hpke-v1"], "LAB/spale.conf:7: AUTH: client admin uses 'hpke', which AUTH does not list"),
        (
            [BOTH, "ADMIN_AUTH=hpke-v1", "REQUIRE_SOURCE_BINDING=1"],
            "LAB/spale.conf:8: ADMIN_AUTH: client admin uses hpke-v1, which cannot name its source,",
        ),
    ],
)
def test_what_could_never_get_in_is_a_mistake(lab, lines, words):
    """Not listed, not chosen, or bound to be refused."""
    (found,) = lab.mistakes(*lines, available=PLUGINS)
    assert found.startswith(words)


def test_listed_and_not_used_is_a_warning(lab):
    """It may be forgotten; nothing more is let through for it."""
    settings = lab.load(BOTH, available=PLUGINS)
    assert UNUSED in settings.warnings
    assert settings.v1_clients == ()


def test_not_installed_is_a_mistake(lab):
    """Named as what is missing."""
    (found,) = lab.mistakes(BOTH, "ADMIN_AUTH=hpke-v1", available=("hpke", "memory", "sqlite", "tc"))
    assert "AUTH: no plugin 'hpke-v1' is installed" in found
