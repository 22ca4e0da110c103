"""Any model of timm, with its weights and preprocessing; needs the extra ``zoo``."""

from __future__ import annotations

import math
import pickle
from contextlib import nullcontext
from typing import Any

from torch import nn

from milannotations.catalog.weights import reason
from milannotations.errors import InputError, did_you_mean
from milannotations.hub_access import asking_hub
from milannotations.inputs.preprocessing import Preprocessing


def make(name: str, pretrained: bool = False, **options: Any) -> nn.Module:
    """Construct a model of timm.

    Raises:
        InputError: If timm is not installed, there is no such model, or its weights cannot be
            downloaded.
    """
    try:
        import timm
    except ImportError as error:
        raise InputError(f"{name} needs the extra: pip install 'milannotations[zoo]'") from error
    plain = name.partition(".")[0]
    if not name.startswith("hf-hub:") and not timm.is_model(plain):
        hint = did_you_mean(plain, timm.list_models())
        raise InputError(f"timm {timm.__version__} has no model {name!r}{hint}")
    try:
        with asking_hub("it") if pretrained else nullcontext():
            network: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(
            f"timm cannot give {name!r}: {reason(error)}; pass --weights FILE, or --weights random"
        ) from error
    return network


def preprocessing(module: nn.Module) -> Preprocessing:
    """Return the preprocessing that timm evaluates a model with.

    Raises:
        InputError: If it is of an unsupported kind.
    """
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(module)
    _, height, width = config["input_size"]
    share = config["crop_pct"]
    if config["crop_mode"] == "squash":
        resize: int | tuple[int, int] = (math.floor(height / share), math.floor(width / share))
    elif config["crop_mode"] == "center":
        resize = math.floor(min(height, width) / share)
    else:
        raise InputError(f"timm's crop mode {config['crop_mode']!r} is not known here")
    return Preprocessing(
        size=(height, width),
        resize=resize,
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
