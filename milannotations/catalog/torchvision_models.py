"""Every classifier of torchvision, with torchvision's own weights and preprocessing."""

from __future__ import annotations

import torchvision
from torch import nn

from milannotations.catalog.entry import State, torchvision_network, torchvision_preprocessing
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing


def names() -> list[str]:
    """Return the names of all models."""
    return list(torchvision.models.list_models(module=torchvision.models))


def load(name: str, published: bool, state: State | None = None) -> tuple[nn.Module, Preprocessing]:
    """Load a model; random weights unless ``published``, and as many classes as ``state`` has.

    Raises:
        InputError: If the published weights cannot be downloaded.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    module = torchvision_network(name, state)
    try:
        if published:
            # Torchvision's own loading would admit pickled code.
            state = weights.get_state_dict(
                progress=True, map_location="cpu", check_hash=True, weights_only=True
            )
            module.load_state_dict(state)
    except (OSError, RuntimeError) as error:  # RuntimeError if the checksum does not match
        raise InputError(
            f"the published weights of {name} cannot be downloaded from {weights.url} ({error}); "
            "pass --weights FILE, or --weights random"
        ) from error
    return module, torchvision_preprocessing(weights)
