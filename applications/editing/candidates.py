"""Candidates of an edit that are found without descriptions, on validation images alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from applications.labelled import AblationEvaluator, ClassImages
from milannotations.ablation import LayerUnit
from milannotations.ablation.runner import logits_of
from milannotations.exemplars.responses import responses
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.hooks import replace_tensor
from milannotations.hook_points.layout import Layout


def units_of(points: Mapping[str, HookPoint]) -> list[LayerUnit]:
    """Return all units of all layers."""
    return [(layer, unit) for layer, point in points.items() for unit in range(point.units)]


def random_like(
    chosen: Sequence[LayerUnit], points: Mapping[str, HookPoint], rng: np.random.Generator
) -> list[LayerUnit]:
    """Draw as many units from each layer as were chosen from it, each unit equally likely.

    Chosen units may be drawn too, so that draws stand for all choices of this size.
    """
    units: list[LayerUnit] = []
    for layer in dict.fromkeys(layer for layer, _ in chosen):
        count = sum(1 for name, _ in chosen if name == layer)
        drawn = rng.choice(points[layer].units, size=count, replace=False)
        units += [(layer, int(unit)) for unit in drawn]
    return units


def by_activation(
    evaluator: AblationEvaluator,
    plain: ClassImages,
    adversarial: ClassImages | None,
    *,
    layouts: Mapping[str, Layout] | None = None,
) -> list[LayerUnit]:
    """Order units by how much more active they are on images in which the feature misleads.

    The score is the difference of mean activations between adversarial and plain images, in
    standard deviations of the plain ones. Without adversarial images it is the mean activation.
    """
    activations = [
        responses(
            evaluator.model,
            list(evaluator.points),
            images.source,
            reduction="mean",
            layouts=layouts,
            device=evaluator.device,
            batch_size=evaluator.batch_size,
        )
        for images in (plain, adversarial)
        if images is not None
    ]
    scores: dict[LayerUnit, float] = {}
    for layer, values in activations[0].items():
        score = values.mean(0)
        if adversarial is not None:
            score = (activations[1][layer].mean(0) - score) / values.std(0).clamp(min=1e-6)
        scores |= {(layer, unit): float(value) for unit, value in enumerate(score)}
    return sorted(scores, key=lambda unit: -scores[unit])


def by_gradient(evaluator: AblationEvaluator, images: ClassImages) -> list[LayerUnit]:
    """Order units by how much the loss would fall without them, to first order.

    This is the Taylor criterion (Molchanov et al., "Pruning Convolutional Neural Networks for
    Resource Efficient Inference", ICLR 2017), with its sign: the sum over positions of the gradient
    times the change of the activation.
    """
    model, points, device = evaluator.model, evaluator.points, evaluator.device
    gains = {
        layer: torch.zeros(point.units, dtype=torch.float64) for layer, point in points.items()
    }
    seen: dict[str, Tensor] = {}

    def watched(layer: str) -> object:
        def change(tensor: Tensor) -> Tensor:
            leaf = tensor if tensor.requires_grad else tensor.detach().requires_grad_()
            leaf.retain_grad()
            seen[layer] = leaf
            return leaf.clone()  # later modules may change it in place

        return change

    with ExitStack() as stack:
        for layer, point in points.items():
            stack.callback(replace_tensor(model, point.spec, watched(layer)).remove)  # type: ignore[arg-type]
        for inputs, labels in images.batches(evaluator.batch_size):
            scores = logits_of(model(inputs.to(device)))
            loss = functional.cross_entropy(scores.float(), labels.to(device), reduction="sum")
            model.zero_grad(set_to_none=True)
            loss.backward()
            for layer, point in points.items():
                gains[layer] += _saved(seen[layer], point, (evaluator.means or {}).get(layer))
    model.zero_grad(set_to_none=True)
    flat = {(layer, u): float(v) for layer, values in gains.items() for u, v in enumerate(values)}
    return sorted(flat, key=lambda unit: -flat[unit])


def _saved(tensor: Tensor, point: HookPoint, means: Tensor | None) -> Tensor:
    """Return how much loss each unit's ablation saves, to first order, float64 (units,)."""
    gradient = tensor.grad
    assert gradient is not None
    activations = tensor.detach()
    if means is not None:
        shape = [1] * tensor.ndim
        shape[point.axis] = -1
        activations = activations - means.to(tensor).view(shape)
    change = (gradient * activations).movedim(point.axis, 0).flatten(1).sum(1).cpu().double()
    return change.view(point.units, -1).sum(1)
