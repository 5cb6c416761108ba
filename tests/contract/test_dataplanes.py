# SPDX-License-Identifier: MIT
"""Every dataplane passes one contract: the fake, and the kernel's by either way in."""

from __future__ import annotations

import pytest
from lab import command

import spale_tc.attach
import spale_xdp.attach
from spale_core.demo.stage import Namespace
from spale_core.testing import DataplaneContract, FakeClock, FakeDataplane

DOOR, BACK_DOOR = "door0", "door1"


class TestFake(DataplaneContract):
    """The dataplane that the core's own tests use."""

    interface = DOOR
    other_interface = BACK_DOOR

    @pytest.fixture(autouse=True)
    def _on_a_host(self):
        self.host = {}

    def remove(self, dataplane, interface):
        """Let it vanish."""
        dataplane.vanish(interface)

    def make(self, settings):
        """Return a fake on the test's host."""
        return FakeDataplane(settings, FakeClock(), self.host)


class OnDoor(DataplaneContract):
    """A kernel's dataplane, with one end of each of two cables in a namespace of its own to attach to."""

    interface = DOOR
    other_interface = BACK_DOOR

    @pytest.fixture(autouse=True)
    def _in_namespace(self):
        inside, outside = Namespace(), Namespace()
        try:
            inside.cable(DOOR, outside, "knock0")
            inside.cable(BACK_DOOR, outside, "knock1")
            with inside.inside():
                yield
        finally:
            outside.close()
            inside.close()

    def remove(self, _, interface):
        """Delete it."""
        command("ip", "link", "delete", interface)


@pytest.mark.kernel
class TestTc(OnDoor):
    """TC, by TCX or clsact as the kernel has it."""

    def make(self, settings):
        """Return a loaded program."""
        return spale_tc.attach.make(settings)


@pytest.mark.kernel
class TestXdp(OnDoor):
    """XDP, native on a veth."""

    def make(self, settings):
        """Return a loaded program."""
        return spale_xdp.attach.make(settings)
