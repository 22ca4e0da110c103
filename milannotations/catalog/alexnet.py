"""AlexNet: torchvision's, and the wider one of Krizhevsky et al. (2012) trained on Places365."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from milannotations.catalog.entry import (
    CatalogEntry,
    State,
    blurred_entry,
    from_url,
    torchvision_entry,
)

_NAMES = (
    "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "conv4", "relu4",
    "conv5", "relu5", "pool5",
)  # fmt: skip
_HEAD = ("dropout6", "fc6", "relu6", "dropout7", "fc7", "relu7", "fc8")
# The names of the annotated layers in the published data.
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
_FEATURES = ("features.0", "features.3", "features.6", "features.8", "features.10")


def _in_order(module: nn.Module) -> nn.Module:
    """Return torchvision's AlexNet as one sequence with named steps."""
    parts = OrderedDict(zip(_NAMES, module.get_submodule("features").children(), strict=True))
    parts["avgpool"] = module.get_submodule("avgpool")
    parts["flatten"] = nn.Flatten()
    head = module.get_submodule("classifier").children()
    return nn.Sequential(OrderedDict([*parts.items(), *zip(_HEAD, head, strict=True)]))


def _rename(state: State) -> State:
    renamed = {}
    for key, value in state.items():
        block, _, rest = key.partition(".")
        number, _, what = rest.partition(".")
        names = {"features": _NAMES, "classifier": _HEAD}.get(block)
        renamed[f"{names[int(number)]}.{what}" if names else key] = value
    return renamed


def _places(_: State | None) -> nn.Module:
    """Return the network of 2012 without local response normalization, with its two groups."""
    steps: list[tuple[str, nn.Module]] = []
    channels = 3
    for name, (width, kernel, groups, pool) in {
        "1": (96, 11, 1, True),
        "2": (256, 5, 2, True),
        "3": (384, 3, 1, False),
        "4": (384, 3, 2, False),
        "5": (256, 3, 2, True),
    }.items():
        stride, padding = (4, 0) if name == "1" else (1, kernel // 2)
        conv = nn.Conv2d(channels, width, kernel, stride, padding, groups=groups)
        steps += [(f"conv{name}", conv), (f"relu{name}", nn.ReLU(inplace=True))]
        if pool:
            steps.append((f"pool{name}", nn.MaxPool2d(3, 2)))
        channels = width
    # The network was trained on 227 pixels, where this does nothing; for the published exemplars,
    # of 224 pixels, the head would not fit without it.
    steps += [("avgpool", nn.AdaptiveAvgPool2d(6)), ("flatten", nn.Flatten())]
    for name, (width, following) in {"6": (9216, 4096), "7": (4096, 4096)}.items():
        steps += [(f"fc{name}", nn.Linear(width, following)), (f"relu{name}", nn.ReLU())]
    return nn.Sequential(OrderedDict([*steps, ("fc8", nn.Linear(4096, 365))]))


_PLACES_URL = "http://milan.csail.mit.edu/models/alexnet-places365.pth"

ENTRIES = (
    torchvision_entry("alexnet", LAYERS, arrange=_in_order, convert=_rename),
    CatalogEntry("alexnet", "places365", _places, LAYERS, _PLACES_URL, from_url(_PLACES_URL)),
    blurred_entry("alexnet", _FEATURES, "1BmgExiP10P5j0irBiCf2TVwFpNnXTVOv"),
)
