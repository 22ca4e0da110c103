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

from typing import TYPE_CHECKING

from milannotations.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from milannotations.loading import load, lookup
    from milannotations.pytorch import ExemplarDataset
    from milannotations.registration import register
    from milannotations.shadowing import require_own_packages

__all__ = ["ExemplarDataset", "load", "lookup", "register", "require_own_packages"]

# The command line must start without datasets and torch.
__getattr__ = lazy_exports(
    __name__,
    {
        "ExemplarDataset": "milannotations.pytorch",
        "load": "milannotations.loading",
        "lookup": "milannotations.loading",
        "register": "milannotations.registration",
        "require_own_packages": "milannotations.shadowing",
    },
)
