"""Every classifier of torchvision, with torchvision's own weights and preprocessing."""

from __future__ import annotations

import torchvision
from torch import nn

from milannotations.errors import InputError
from milannotations.exemplars.sources import Preprocessing


def names() -> list[str]:
    """Return the names of all models."""
    return list(torchvision.models.list_models(module=torchvision.models))


def load(name: str, published: bool) -> tuple[nn.Module, Preprocessing]:
    """Load a model; random weights unless ``published``.

    Raises:
        InputError: If the published weights cannot be downloaded.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    preprocessing = Preprocessing(
        size=preset.crop_size[0],
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    try:
        module = torchvision.models.get_model(name, weights=weights if published else None)
    except (OSError, RuntimeError) as error:  # the latter if the checksum does not fit
        raise InputError(
            f"the published weights of {name} cannot be downloaded from {weights.url} ({error}); "
            "pass --weights FILE, or --weights random"
        ) from error
    return module, preprocessing
