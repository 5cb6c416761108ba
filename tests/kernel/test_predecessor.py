# SPDX-License-Identifier: MIT
"""What an earlier daemon left in the kernel is found through its programs."""

from contextlib import closing
from ipaddress import ip_address

import pytest
from lab import CLIENT, DOORS, SCHED_CLS, TC_NEXT, doors, program, settings
from watch_lab import index

import spale_tc.attach
import spale_xdp.attach
from spale_bpf import libbpf
from spale_core.model import NEVER_NS, Grant, Protocol, Service, Session, SessionState, Source

pytestmark = pytest.mark.kernel

SSH = Service(Protocol.TCP, 22)
SOURCE = Source(ip_address(CLIENT))
GRANT = Grant(SOURCE, SSH, 7, NEVER_NS, NEVER_NS, NEVER_NS)
SESSION = Session(SOURCE, SSH, ip_address("192.0.2.1"), 40000, 5, 6, SessionState.OPEN)
MAKERS = {"tc": spale_tc.attach.make, "xdp": spale_xdp.attach.make}


@pytest.fixture(autouse=True)
def _inside():
    with doors():
        yield


def leave(make, names):
    """Do what a daemon does that is killed."""
    with closing(make(settings(max_sessions=8))) as made:
        made.allow([GRANT])
        made.put_sessions([SESSION])
        made.attach(names)


@pytest.mark.parametrize("earlier", MAKERS)
@pytest.mark.parametrize("later", MAKERS)
def test_it_is_read_before_and_after_the_attach(earlier, later):
    """By whatever enforcer; also when the new program has taken the place of the old."""
    leave(MAKERS[earlier], DOORS)
    with closing(MAKERS[later](settings())) as made, closing(made.predecessor(DOORS)) as left:
        assert (left.grants(), left.sessions()) == ([GRANT], [SESSION])
        made.attach(DOORS)
        assert (left.grants(), left.sessions()) == ([GRANT], [SESSION])
        assert list(made.installed()) == []


def test_several_are_one():
    """Two daemons had the two interfaces; what both have is the same once, the rest is all there."""
    leave(MAKERS["tc"], DOORS[:1])
    leave(MAKERS["xdp"], DOORS[1:])
    with closing(MAKERS["tc"](settings())) as made, closing(made.predecessor(DOORS)) as left:
        assert (left.grants(), left.sessions()) == ([GRANT], [SESSION])


def test_nothing_is_found_where_nothing_was_left():
    """Nor in what somebody else has attached."""
    with closing(MAKERS["tc"](settings())) as made:
        assert made.predecessor(DOORS) is None
        with program(SCHED_CLS, "foreign", TC_NEXT) as descriptor:
            libbpf.prog_attach(descriptor, index())
            assert made.predecessor(DOORS) is None
