"""Which probe images activate the units of a network's layers most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.exemplars.instrument import activations, match_layers, probe
from milannotations.exemplars.sources import Source
from milannotations.progress import progress_bar


def mean_activations(
    model: LoadedModel,
    layers: Sequence[str],
    images: Source,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
) -> dict[str, Tensor]:
    """Return the spatial mean of each unit's activation map in each image, as the authors do.

    Args:
        model: The network.
        layers: Its layers.
        images: The probe images, with the network's own preprocessing.
        device: Where it runs.
        batch_size: Images per forward pass.

    Returns:
        (images, units) for each layer, on the CPU.

    Raises:
        InputError: If a layer is unknown, or the network does not take images.
    """
    if model.latents is not None:
        raise InputError(f"{model.name} is a generator; CLIP-Dissect needs one that takes images")
    module = model.module.eval().to(device)
    names = match_layers(module, layers)
    height, width = model.preprocessing.shape
    example = torch.zeros(1, len(model.preprocessing.mean), height, width, device=device)
    taps = [*probe(module, names, (example,), model.layouts).values()]
    found: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(layer: str, maps: Tensor) -> None:
        found[layer].append(maps.float().mean((2, 3)).cpu())

    with torch.inference_mode(), progress_bar() as progress:
        task = progress.add_task("Probing the network", total=len(images))
        for first in range(0, len(images), batch_size):
            numbers = range(first, min(first + batch_size, len(images)))
            inputs = []
            for number in numbers:
                given = images.inputs(number)
                inputs.append(given[0] if isinstance(given, tuple) else given)
            with activations(module, taps, keep, stop_early=True) as run:
                run(torch.stack(inputs).to(device))
            progress.advance(task, len(numbers))
    return {name: torch.cat(parts) for name, parts in found.items()}
