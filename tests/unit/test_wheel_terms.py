# SPDX-License-Identifier: MIT
"""What the metadata of a wheel says about the rights to the libraries in it."""

from __future__ import annotations

import email

from terms import LICENCES, TEXTS, expression, with_terms

METADATA = """\
Metadata-Version: 2.4
Name: spale-bpf
License-Expression: MIT AND GPL-2.0-only
License-File: LICENSE.GPL-2.0-only
License-File: LICENSE.MIT
Requires-Python: >=3.11

License-Expression: of the README
License-File: of the README
"""


def test_a_choice_stays_a_choice():
    """Whoever passes the wheel on may choose, per library."""
    assert expression(["libbpf", "libz"]) == "(BSD-2-Clause OR LGPL-2.1-only) AND Zlib"


def test_each_library_has_terms_and_texts():
    """None is copied of which only one is known."""
    assert LICENCES.keys() == TEXTS.keys()


def test_the_metadata_has_ours_and_theirs():
    """Once in the head, and nothing else is touched."""
    changed = with_terms(METADATA, "Zlib", ["libraries/zlib1g.txt"])
    message = email.message_from_string(changed)
    assert message["License-Expression"] == "MIT AND GPL-2.0-only AND Zlib"
    files = ["LICENSE.GPL-2.0-only", "LICENSE.MIT", "libraries/zlib1g.txt"]
    assert message.get_all("License-File") == files
    assert message.get_payload() == email.message_from_string(METADATA).get_payload()
    assert message["Requires-Python"] == ">=3.11"
