# SPDX-License-Identifier: MIT
"""What Python believes of the kernel's maps is what the compiler made of the C header."""

from __future__ import annotations

import subprocess
import sys

import rig

from spale_bpf import _abi
from spale_core.model import Reason

ABI = rig.BPF / "src" / "spale_bpf" / "_abi.py"


def test_abi_module_is_up_to_date() -> None:
    """`make -C bpf abi` would write the committed file again, byte for byte."""
    rig.build()
    programs = [str(rig.OBJECTS / f"{name}.bpf.o") for name in rig.FILES]
    tool, types = str(rig.BPF / "tools" / "gen_abi.py"), str(rig.BUILD / "abi.bpf.o")
    command = [sys.executable, tool, "--abi", types, "--programs", *programs]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert made.stdout == ABI.read_text()


def test_kernel_reasons_are_model_reasons() -> None:
    """Every reason that the kernel counts has its word in the log."""
    counted = {reason.name for reason in _abi.Reason if reason >= _abi.REASON_FIRST_COUNTED}
    assert counted <= {reason.name for reason in Reason}


def test_sizes_fit_the_maps() -> None:
    """The packers make exactly what the maps hold."""
    assert _abi.SETTINGS.size == _abi.MAPS["spale_settings"].value_size
    assert _abi.GRANT_KEY.size == _abi.MAPS["spale_grants"].key_size
    assert _abi.GRANT.size == _abi.MAPS["spale_grants"].value_size
    assert _abi.SESSION_KEY.size == _abi.MAPS["spale_sessions"].key_size
    assert _abi.SESSION.size == _abi.MAPS["spale_sessions"].value_size
    assert _abi.GRANT_KEY.size == _abi.MAPS["spale_session_counts"].key_size
    assert _abi.ALLOW_KEY.size == _abi.MAPS["spale_allow"].key_size
    assert _abi.TAG.size == _abi.MAPS["spale_tags"].value_size
    assert _abi.COUNTER.size == _abi.MAPS["spale_counters"].value_size
