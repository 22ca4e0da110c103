"""What a neuron is, how it is stored, loaded and built.

>>> import milannotations
>>> neurons = milannotations.load("demo", split="test")
>>> len(neurons)
85
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from milannotations.loading import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Imported on first use: the command line must start without datasets and torch.
    if name == "load":
        from milannotations.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
