"""ResNets: torchvision's on ImageNet, with clear and with blurred faces, and two on Places365."""

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

LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")
_DRIVE = {
    "resnet18": "1woDKMm90armYrOZ9lfXTg-MWhWNA0eDD",
    "resnet34": "10Kqkr3ULhzV_llN6lgBfZ4TOd6uz-iDW",
    "resnet50": "1dmT7HVyTp8OwFEbgIDN6P5RNuvsLpWEC",
    "resnet101": "1tnG1gKRL2VrXMS_zD09KERFt9nbzuXq_",
    "resnet152": "1LxrgwDKijRqBAxy9odPqKRELASBLFBOa",
}
_HOST = "https://dissect.csail.mit.edu/models"
_PLACES18 = f"{_HOST}/resnet18_places365-2f475921.pth"
_PLACES152 = f"{_HOST}/resnet152_places365-f928166e5c.pth"
# A bottleneck of the Places365 checkpoint, which was converted from Lua, is a sequence:
# convolutions and their normalizations alternate, with a ReLU after each pair.
_IN_BOTTLENECK = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}


def _places18(_: State | None) -> nn.Module:
    module: nn.Module = torchvision.models.resnet18(weights=None, num_classes=365)
    return module


def _places152(_: State | None) -> nn.Module:
    """Return ResNet-152 as a sequence: the published layers are its steps 0, 4, 5, 6 and 7."""
    module = torchvision.models.resnet152(weights=None, num_classes=365)
    *features, head = module.children()
    return nn.Sequential(*features, nn.Flatten(), head)


def _rename_places152(state: State) -> State:
    """Convert the names of the checkpoint, such as ``4.0.0.0.3.weight``, to torchvision's."""

    def rename(key: str) -> str:
        match = re.fullmatch(r"([4-7])\.(\d+)\.0\.0\.(\d)\.(\w+)", key)
        if match:
            return f"{match[1]}.{match[2]}.{_IN_BOTTLENECK[match[3]]}.{match[4]}"
        match = re.fullmatch(r"([4-7])\.0\.0\.1\.([01])\.(\w+)", key)
        if match:
            return f"{match[1]}.0.downsample.{match[2]}.{match[3]}"
        # The head is a sequence of a step without weights and a linear layer.
        return re.sub(r"^10\.1\.", "10.", key)

    return {rename(key): value for key, value in state.items()}


ENTRIES = (
    *(torchvision_entry(name, LAYERS) for name in _DRIVE),
    *(blurred_entry(name, LAYERS, drive) for name, drive in _DRIVE.items()),
    CatalogEntry("resnet18", "places365", _places18, LAYERS, _PLACES18, from_url(_PLACES18)),
    CatalogEntry(
        "resnet152",
        "places365",
        _places152,
        ("0", "4", "5", "6", "7"),
        _PLACES152,
        from_url(_PLACES152),
        _rename_places152,
    ),
)
