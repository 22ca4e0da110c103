"""How strongly each unit responds to each image, as one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.hook_points.layout import Layout
from milannotations.hook_points.matching import find_hook_points
from milannotations.hook_points.reading import activations
from milannotations.inputs.sources import Inputs, Source
from milannotations.progress import progress_bar
from milannotations.rules import InPlace
from milannotations.threads import in_copies

Reduction = Literal["mean", "peak"]


def responses(
    module: nn.Module,
    layers: Sequence[str],
    images: Source,
    *,
    reduction: Reduction = "peak",
    layouts: Mapping[str, Layout] | None = None,
    autoencoders: Mapping[str, nn.Module] | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    in_place: InPlace = "before",
) -> dict[str, Tensor]:
    """Return one response of each unit to each image.

    Args:
        module: The network.
        layers: Its layers, or patterns; see ``match_layers``.
        images: The images, with the network's own preprocessing.
        reduction: The map's largest value (``peak``, by which exemplars are chosen) or its mean.
        layouts: See ``probe``.
        autoencoders: Sparse autoencoders, by the name of the layer whose units they encode.
        device: Where it runs.
        batch_size: Images per forward pass; on the CPU each image has its own pass.
        in_place: See ``probe``; use the rule that the network's exemplars were built with.

    Returns:
        float32 (images, units) for each layer, on the CPU.

    Raises:
        InputError: If a layer is unknown, or there are no images.
    """
    if not len(images):
        raise InputError("there are no images to run the network on")
    module = module.eval().to(device)
    encoders = {layer: encoder.eval().to(device) for layer, encoder in (autoencoders or {}).items()}
    example = tuple(x.to(device) for x in _stacked(images, range(1)))
    points = [
        *find_hook_points(
            module, layers, example, layouts or {}, encoders, in_place=in_place
        ).values()
    ]
    batches: dict[str, list[Tensor]] = {point.layer: [] for point in points}

    @torch.inference_mode()
    def responding(network: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        responses: dict[str, Tensor] = {}

        def keep(layer: str, maps: Tensor) -> None:
            values = maps.float().amax((2, 3)) if reduction == "peak" else maps.float().mean((2, 3))
            responses[layer] = values.cpu()

        with activations(network, points, keep, autoencoders=encoders, stop_early=True) as run:
            run(*inputs)
        return responses

    with progress_bar() as progress:
        task = progress.add_task("Running the network", total=len(images))
        for first in range(0, len(images), batch_size):
            numbers = range(first, min(first + batch_size, len(images)))
            if torch.device(device).type == "cpu":
                # One by one, so that an image's responses do not depend on the other images.
                parts = in_copies(
                    module, responding, [_stacked(images, range(n, n + 1)) for n in numbers]
                )
            else:
                inputs = tuple(x.to(device) for x in _stacked(images, numbers))
                parts = [responding(module, inputs)]
            for batch in parts:
                for layer, values in batch.items():
                    batches[layer].append(values)
            progress.advance(task, len(numbers))
    return {name: torch.cat(parts) for name, parts in batches.items()}


def _stacked(images: Source, numbers: range) -> Inputs:
    given = [images.inputs(number) for number in numbers]
    tuples = [tensors if isinstance(tensors, tuple) else (tensors,) for tensors in given]
    return tuple(torch.stack(parts) for parts in zip(*tuples, strict=True))
