"""What a neuron is, how it is stored, loaded and built.

>>> import milannotations
>>> neurons = milannotations.load("demo", split="test")
>>> len(neurons)
85
>>> milannotations.lookup(neurons, neurons[3]["layer"], neurons[3]["unit"])["annotations"][0] == (
...     neurons[3]["annotations"][0]
... )
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from milannotations.loading import load, lookup
    from milannotations.pytorch import ExemplarDataset
    from milannotations.registration import register
    from milannotations.shadowing import require_own_packages

__all__ = ["ExemplarDataset", "load", "lookup", "register", "require_own_packages"]

# Imported on first use: the command line must start without datasets and torch.
_MODULES = {
    "ExemplarDataset": "milannotations.pytorch",
    "load": "milannotations.loading",
    "lookup": "milannotations.loading",
    "register": "milannotations.registration",
    "require_own_packages": "milannotations.shadowing",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
