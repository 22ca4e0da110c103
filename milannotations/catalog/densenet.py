"""DenseNets: torchvision's on ImageNet, with clear and with blurred faces."""

from __future__ import annotations

import re

from milannotations.catalog.entry import State, blurred_entry, torchvision_entry

LAYERS = ("features.conv0", *(f"features.denseblock{index}" for index in range(1, 5)))
_DRIVE = {
    "densenet121": "1yeKuiREpdl9ltyVQEcfzgAcjkfK9Punj",
    "densenet201": "1s3lGJ8Lq67LVgpa9nArUnt-Augfnd7mP",
}


def _rename(state: State) -> State:
    """Convert the names of old checkpoints, ``denselayer1.norm.1.weight``, to current ones."""
    old = r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."
    return {re.sub(old, r"\1\2.", key): value for key, value in state.items()}


ENTRIES = (
    *(torchvision_entry(name, LAYERS, convert=_rename) for name in _DRIVE),
    *(blurred_entry(name, LAYERS, drive) for name, drive in _DRIVE.items()),
)
