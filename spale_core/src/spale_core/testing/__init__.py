# SPDX-License-Identifier: MIT
"""For authors of plugins: the contracts that every plugin must pass, and fakes that pass them too.

A contract is a class whose methods are tests; pytest collects it where a plugin's own test module derives
from it and says how to make the plugin's object (docs/writing-a-plugin.md)::

    class TestMine(DataplaneContract):
        def make(self, settings):
            return MyDataplane(settings)

Nothing in here needs pytest; a promise that is broken raises `BrokenPromiseError`.
"""

from spale_core.testing.authenticator import AuthenticatorContract
from spale_core.testing.clock import FakeClock
from spale_core.testing.dataplane import DataplaneContract
from spale_core.testing.examination import ExaminationContract
from spale_core.testing.fake_rehearsal import rehearse as rehearse_by_fake
from spale_core.testing.fakes import FakeDataplane
from spale_core.testing.packet import Packet
from spale_core.testing.promise import BrokenPromiseError
from spale_core.testing.rehearsal import RehearsalContract
from spale_core.testing.store import DurableStoreContract, GrantStoreContract

__all__ = [
    "AuthenticatorContract",
    "BrokenPromiseError",
    "DataplaneContract",
    "DurableStoreContract",
    "ExaminationContract",
    "FakeClock",
    "FakeDataplane",
    "GrantStoreContract",
    "Packet",
    "RehearsalContract",
    "rehearse_by_fake",
]
