# SPDX-License-Identifier: MIT
"""Every event that the log may have, wherever it is defined."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import spale_core
from spale_core.events import Event


def kinds():
    """Return the classes of events that have a word, in the order of their words and names."""
    for module in pkgutil.iter_modules(spale_core.__path__):
        if module.name == "events" or module.name.endswith("_events"):
            importlib.import_module(f"spale_core.{module.name}")
    found, waiting = set(), [Event]
    while waiting:
        waiting += (below := waiting.pop().__subclasses__())
        found |= {kind for kind in below if hasattr(kind, "word") and _is_there(kind)}
    return sorted(found, key=lambda kind: (kind.word, kind.__name__))


def _is_there(kind):
    """Tell whether it is a class of ours, and not what attrs has made it from."""
    module = sys.modules[kind.__module__]
    return module.__name__.startswith("spale_core.") and getattr(module, kind.__name__) is kind
