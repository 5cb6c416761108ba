# SPDX-License-Identifier: MIT
"""What users read about keys and options is what the daemon understands, and nothing is left out."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
from attrs import fields

from spale_core.config.keys import CLIENT_DEFINITIONS, DEFINITIONS
from spale_core.config.settings import ClientSettings, Settings

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "spale.conf.example"
KEYS = [each for each in DEFINITIONS if not each.option_only]


def test_the_documents_are_up_to_date():
    """`python tools/config_docs.py` would change nothing."""
    written = runpy.run_path(str(ROOT / "tools" / "config_docs.py"))["documents"]()
    stale = [path for path, text in written.items() if (ROOT / path).read_text("utf-8") != text]
    assert not stale


@pytest.mark.parametrize("key", [each.key for each in KEYS])
def test_every_key_is_in_the_example(key):
    """Set, or commented out with its default."""
    assert re.search(rf"^#?{key}=", EXAMPLE.read_text("utf-8"), re.MULTILINE)


def test_the_example_is_a_configuration(lab):
    """As it is, but for the paths and the interface, it would run; lines are at most 110 wide."""
    text = EXAMPLE.read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 110
    for key in ("IFACE", "SERVER_KEY", "CLIENTS_DIR"):
        text = re.sub(rf"^#?{key}=.*$", f"{key}={lab.lines[key]}", text, count=1, flags=re.MULTILINE)
    lab.write(lab.conf, text.encode())
    assert lab.load_file().listen_port == 55555


def _unneeded(definition) -> bool:
    return definition.key in {
        "IFACE",
        "SERVER_KEY",
        "CLIENTS_DIR",
        "DROP_PRIVS",
    }


def test_everything_that_is_commented_out_may_be_set(lab):
    """The values shown are ones that this version takes, the clients' keys included."""
    text = EXAMPLE.read_text("utf-8")
    keys = [each.key for each in KEYS if not _unneeded(each)]
    keys += [f"ADMIN_{each.suffix}" for each in CLIENT_DEFINITIONS]
    for key in keys:
        text, count = re.subn(rf"^#({key}=)", r"\1", text, flags=re.MULTILINE)
        assert count == (0 if f"\n{key}=" in EXAMPLE.read_text("utf-8") else 1)
    for key in ("IFACE", "SERVER_KEY", "CLIENTS_DIR", "STATE_DIR"):
        text = re.sub(rf"^#?{key}=.*$", f"{key}={lab.lines[key]}", text, count=1, flags=re.MULTILINE)
    lab.write(lab.conf, text.encode())
    assert lab.load_file().clients[0].idle_s == 120


def test_the_defaults_are_the_same_in_both_places():
    """`Settings` made by hand, as tests do, is what an empty file says."""
    defaults = {field.name: field.default for field in fields(Settings)}
    for definition in KEYS:
        if definition.field is not None and definition.default is not None:
            expected = definition.kind.read(definition.default)
            assert defaults[definition.field] in (expected, None) or definition.field == "server_keys"


def test_every_setting_has_a_key():
    """Nothing is decided anywhere else."""
    no_keys = {"clients", "config_path", "warnings"}
    with_keys = {each.field for each in DEFINITIONS} - {None}
    assert {field.name for field in fields(Settings)} - no_keys == with_keys
    of_clients = {field.name for field in fields(ClientSettings)} - {"name", "public_key"}
    assert of_clients == {each.field for each in CLIENT_DEFINITIONS}
