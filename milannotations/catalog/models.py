"""Models that can be named on the command line, each with its weights and preprocessing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from milannotations.catalog import efficientnet_lite, torchvision_models
from milannotations.catalog.weights import load_weights
from milannotations.errors import InputError, did_you_mean
from milannotations.exemplars.generators import LatentSpace
from milannotations.exemplars.layout import Layout
from milannotations.exemplars.sources import Preprocessing


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be dissected.

    Attributes:
        module: The network with its weights.
        name: Architecture, as records name it.
        dataset: What it was trained on, as records name it.
        preprocessing: What turns an image into its input.
        layers: The layers that are dissected where the user names none.
        layouts: Layouts of layers, by pattern, where they cannot be told from the outputs.
        latents: What a generator takes; None for networks that take images.
    """

    module: nn.Module
    name: str
    dataset: str
    preprocessing: Preprocessing
    layers: tuple[str, ...] = ()
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    latents: LatentSpace | None = None


def load_model(spec: str, weights: str = "published", dataset: str | None = None) -> LoadedModel:
    """Load a model by name.

    Args:
        spec: ``efficientnet_lite0``; any torchvision classifier, as ``resnet18`` or
            ``torchvision:resnet18``; or ``package.module:factory``, a function without
            arguments that returns an ``nn.Module`` (ImageNet preprocessing at 224) or a
            ``LoadedModel``. The module of a factory is imported, so name only code you trust.
        weights: ``published``, ``random``, or a file with a state dictionary.
        dataset: What the weights were trained on; default the published weights' own.

    Raises:
        InputError: If there is no such model, or its weights cannot be had or do not fit.
    """
    published = weights == "published"
    if spec == efficientnet_lite.NAME:
        module, preprocessing = efficientnet_lite.load(published)
        loaded = LoadedModel(module, spec, "imagenet", preprocessing)
    elif ":" in spec and not spec.startswith("torchvision:"):
        loaded = _from_factory(spec)
    else:
        name = spec.removeprefix("torchvision:")
        if name not in torchvision_models.names():
            known = [efficientnet_lite.NAME, *torchvision_models.names()]
            raise InputError(
                f"no model is named {spec!r}{did_you_mean(name, known)} (a torchvision classifier, "
                f"{efficientnet_lite.NAME}, or package.module:factory)"
            )
        module, preprocessing = torchvision_models.load(name, published)
        loaded = LoadedModel(module, name, "imagenet", preprocessing)
    if weights == "random":
        trained_on = "random"
    elif not published:
        load_weights(loaded.module, Path(weights))
        trained_on = Path(weights).stem
    else:
        trained_on = loaded.dataset
    return LoadedModel(loaded.module, loaded.name, dataset or trained_on, loaded.preprocessing)


def _from_factory(spec: str) -> LoadedModel:
    path, _, attribute = spec.partition(":")
    try:
        factory = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"model {spec!r}: {error}") from error
    made = factory()
    if isinstance(made, LoadedModel):
        return made
    if not isinstance(made, nn.Module):
        raise InputError(f"model {spec!r} gives a {type(made).__name__}, not a torch.nn.Module")
    return LoadedModel(made, attribute, "unknown", Preprocessing())
