# SPDX-License-Identifier: MIT
"""What dataplanes offer beside themselves passes one contract: the fake's, and the kernel's."""

from __future__ import annotations

import pytest

from spale_core.plugins import Plugins
from spale_core.testing import ExaminationContract, FakeClock, RehearsalContract, rehearse_by_fake


class TestFakeRehearsal(RehearsalContract):
    """The rehearsal that the core's own tests use."""

    clock = FakeClock()

    def now_ns(self):
        """Return what the test's clock reads."""
        return self.clock.monotonic_ns()

    def rehearse(self, settings, rehearsal):
        """Ask the fake."""
        return rehearse_by_fake(settings, rehearsal, self.clock)


@pytest.mark.kernel
class TestTcRehearsal(RehearsalContract):
    """The program at TC."""

    def rehearse(self, settings, rehearsal):
        """Ask the kernel."""
        return Plugins(["tc"]).dataplane("tc").rehearse(settings, rehearsal)


@pytest.mark.kernel
class TestXdpRehearsal(RehearsalContract):
    """The program at XDP."""

    def rehearse(self, settings, rehearsal):
        """Ask the kernel."""
        return Plugins(["xdp"]).dataplane("xdp").rehearse(settings, rehearsal)


@pytest.mark.kernel
class TestTcExamination(ExaminationContract):
    """What tc finds."""

    def examine(self, interfaces):
        """Ask it."""
        return Plugins(["tc"]).dataplane("tc").examine(interfaces)


@pytest.mark.kernel
class TestXdpExamination(ExaminationContract):
    """What xdp finds."""

    def examine(self, interfaces):
        """Ask it."""
        return Plugins(["xdp"]).dataplane("xdp").examine(interfaces)
