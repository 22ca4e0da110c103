"""A small convolutional network that can be trained on a few thousand images on a CPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from milannotations.catalog.entry import CatalogEntry, State
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing

NAME = "smallnet"
SIZE = 96
WIDTHS = (24, 40, 56, 64, 64)
LAYERS = tuple(f"conv{number}" for number in range(1, len(WIDTHS) + 1))
PREPROCESSING = Preprocessing(SIZE, SIZE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
_CLASSES = 10
# Side of the kernel, and whether maps are halved before the layer. Images of 96 pixels give maps
# of 48, 24, 24, 12 and 12: even the last ones locate what they respond to.
_KERNELS = (5, 3, 3, 3, 3)
_HALVED = (False, True, False, True, False)


class SmallNet(nn.Module):
    """Five layers of convolution, batch normalization and ReLU, average pooling, and a classifier.

    The layers are the submodules ``conv1`` to ``conv5``, whose outputs are those of the ReLU;
    ``fc`` classifies the average of the last maps.

    Args:
        classes: Number of classes.
        widths: Units of each layer.

    Raises:
        InputError: If the number of widths is not that of the layers, or a number is below 1.
    """

    def __init__(self, classes: int = _CLASSES, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if len(widths) != len(WIDTHS) or min(widths) < 1 or classes < 1:
            raise InputError(
                f"{NAME} of {classes} classes and widths {tuple(widths)}; it must have at least 1 "
                f"class and {len(WIDTHS)} widths of at least 1"
            )
        before = 3
        for position, (name, width) in enumerate(zip(LAYERS, widths, strict=True)):
            steps: OrderedDict[str, nn.Module] = OrderedDict()
            if _HALVED[position]:
                steps["pool"] = nn.MaxPool2d(2)
            kernel, stride = _KERNELS[position], 1 if position else 2
            steps["conv"] = nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False)
            steps["bn"] = nn.BatchNorm2d(width)
            steps["relu"] = nn.ReLU()
            self.add_module(name, nn.Sequential(steps))
            before = width
        self.fc = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (n, classes), of images (n, 3, height, width)."""
        maps = images
        for name in LAYERS:
            maps = self.get_submodule(name)(maps)
        scores: Tensor = self.fc(maps.mean((2, 3)))
        return scores


def for_state(state: State | None) -> SmallNet:
    """Construct the network of a state dictionary; with 10 classes if there is none that fits."""
    keys = [f"{name}.conv.weight" for name in LAYERS]
    if state is None or not {*keys, "fc.weight"} <= state.keys():
        return SmallNet()  # loading the state then reports what is missing
    shapes: list[torch.Size] = [state[key].shape for key in [*keys, "fc.weight"]]
    if not all(shapes):  # a scalar
        return SmallNet()
    *widths, classes = (shape[0] for shape in shapes)
    return SmallNet(classes, widths)


def _fetch() -> State:
    raise InputError(
        f"{NAME} has no published weights: train one (applications.classifier) and pass "
        "--weights FILE, or --weights random"
    )


ENTRIES = (
    CatalogEntry(
        NAME,
        "rendered",
        for_state,
        LAYERS,
        "none: to be trained",
        _fetch,
        preprocessing=PREPROCESSING,
    ),
)
