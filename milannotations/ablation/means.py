"""Units' mean activations, for mean ablation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.layout import Layout
from milannotations.inputs.sources import Source


def mean_activations(
    model: nn.Module,
    points: Mapping[str, HookPoint],
    images: Source,
    *,
    layouts: Mapping[str, Layout] | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
) -> dict[str, Tensor]:
    """Return each unit's mean over all positions of some images, float32 (channels,) by layer.

    Args:
        model: The network.
        points: The layers.
        images: Training images, never images that results are reported on.
        layouts: See ``find_hook_points``.
        device: Where it runs.
        batch_size: Images per forward pass.

    Raises:
        InputError: For attention heads, which have no single mean; use zero ablation.
    """
    for layer, point in points.items():
        if point.channels != point.units:
            raise InputError(f"layer {layer!r}: heads have no mean to be set to; set them to 0")
    means = responses(
        model,
        list(points),
        images,
        reduction="mean",
        layouts=layouts,
        device=device,
        batch_size=batch_size,
    )
    return {layer: values.mean(0) for layer, values in means.items()}
