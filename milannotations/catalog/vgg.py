"""VGG: torchvision's on ImageNet, with clear and with blurred faces, and VGG-16 on Places365."""

from __future__ import annotations

import re

import torchvision
from torch import nn

from milannotations.catalog.entry import (
    CatalogEntry,
    State,
    blurred_entry,
    from_url,
    torchvision_entry,
)

# The last convolution of every block: those that the original code dissects in networks without
# normalization, and the same ones in networks with it.
_LAYERS = {
    "vgg11": (0, 3, 8, 13, 18),
    "vgg13": (2, 7, 12, 17, 22),
    "vgg16": (2, 7, 14, 21, 28),
    "vgg19": (2, 7, 16, 25, 34),
    "vgg11_bn": (0, 4, 11, 18, 25),
    "vgg13_bn": (3, 10, 17, 24, 31),
    "vgg16_bn": (3, 10, 20, 30, 40),
    "vgg19_bn": (3, 10, 23, 36, 49),
}
_DRIVE = {
    "vgg11": "1AhzaMsxTpM08Q22sp94aF2U-Xerd4uE5",
    "vgg13": "1fyNnwpath6_BcfgtqaZ1DRnyZr4QhKFe",
    "vgg16": "18hyyLVplUZUi2u1_Y-MYsJ5JL3aG7n3H",
    "vgg19": "1FhvooAy-ahtX_vyoxwlmOi8VJlj7JE-j",
}
_PLACES_URL = "https://dissect.csail.mit.edu/models/vgg16_places365-0bafbc55.pth"
# Index of the first convolution of each block of VGG-16 in torchvision's sequence.
_BLOCKS = {"1": 0, "2": 5, "3": 10, "4": 17, "5": 24}
_HEAD = {"fc6": "0", "fc7": "3", "fc8": "6", "fc8a": "6"}


def _layers(name: str) -> tuple[str, ...]:
    return tuple(f"features.{index}" for index in _LAYERS[name])


def _rename_places(state: State) -> State:
    """Convert Caffe's names, ``features.conv3_2.weight``, to torchvision's."""

    def rename(key: str) -> str:
        block, middle, what = key.split(".")
        match = re.fullmatch(r"conv(\d)_(\d)", middle)
        if match:
            middle = str(_BLOCKS[match[1]] + 2 * (int(match[2]) - 1))
        return f"{block}.{_HEAD.get(middle, middle)}.{what}"

    return {rename(key): value for key, value in state.items()}


def _places(_: State | None) -> nn.Module:
    module: nn.Module = torchvision.models.vgg16(weights=None, num_classes=365)
    return module


ENTRIES = (
    *(torchvision_entry(name, _layers(name)) for name in _LAYERS),
    *(blurred_entry(name, _layers(name), drive) for name, drive in _DRIVE.items()),
    CatalogEntry(
        "vgg16",
        "places365",
        _places,
        _layers("vgg16"),
        _PLACES_URL,
        from_url(_PLACES_URL),
        _rename_places,
    ),
)
