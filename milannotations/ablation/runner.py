"""Many ablations of a batch, each computed from its first ablated layer on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from milannotations.ablation.ablated import Ablation, Means, fixed, point_of
from milannotations.ablation.replay import (
    Cut,
    Inputs,
    Memory,
    find_cuts,
    no_fast_path,
    remember,
    replaying,
)
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.hooks import replace_tensor

ROWS = 128


class AblationRunner:
    """Runs a network on a batch under many ablations, with the same outputs as one by one.

    The layers before an ablation's first layer are computed once per batch, not once per ablation
    (see ``replay``), and ablations with the same first layer are run together as a larger batch.

    Args:
        model: In evaluation mode, on its device.
        points: The layers that may be ablated, from ``find_hook_points``.
        inputs: Any batch of at least two images, on which the network's path through its modules
            is observed once.
        means: What ablated channels are set to; see ``ablated``.
        rows: Greatest number of images in an enlarged batch.
    """

    def __init__(
        self,
        model: nn.Module,
        points: Mapping[str, HookPoint],
        inputs: Inputs,
        means: Means | None = None,
        rows: int = ROWS,
    ) -> None:
        self._model = model
        self._points = points
        self._means = means or {}
        self._rows = rows
        self._cuts = find_cuts(model, [*points.values()], inputs)
        for layer, cut in self._cuts.items():
            if not self._holds(cut, inputs):
                # Rare: code that changes tensors in place between modules, or outputs of a type
                # that is not inspected. Whole passes are always right.
                self._cuts[layer] = replace(cut, calls={})
        self._last = max(self._cuts, key=lambda layer: self._cuts[layer].at) if points else None

    @torch.no_grad()
    def _holds(self, cut: Cut, inputs: Inputs) -> bool:
        """Verify a cut: two copies of the batch must give the batch's output twice."""
        with no_fast_path():
            expected = logits_of(self._model(*inputs)).float()
        memory = remember(self._model, cut, inputs).repeated(2)
        try:
            outputs = self._run(memory, inputs, [{}, {}]).float()
        except RuntimeError:
            return False
        bound = 1e-3 * float(expected.abs().max().clamp(min=1e-6))
        if len(outputs) != 2 * len(expected):
            return False  # tensors in outputs of a type that is not inspected
        return all(bool(((half - expected).abs() <= bound).all()) for half in outputs.chunk(2))

    def depth(self, layer: str) -> int:
        """Return when a layer is computed: later layers have greater numbers.

        Raises:
            InputError: If the layer is not among those that may be ablated.
        """
        point_of(self._points, layer)
        return self._cuts[layer].at

    @torch.no_grad()
    def outputs(
        self, inputs: Inputs, ablations: Sequence[Ablation]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the position of each ablation and the network's output under it.

        Args:
            inputs: A batch.
            ablations: In any order; an empty one leaves the network as it is.

        Yields:
            Each position once, ablations that begin at early layers first, with the output as
            ``logits_of`` gives it, one row per image.

        Raises:
            InputError: If a layer or a unit is unknown, before anything is run.
        """
        masks = [self._masks(ablation) for ablation in ablations]
        starts: dict[str | None, list[int]] = {}
        for position, chosen in enumerate(masks):
            first = min(chosen, key=lambda layer: self._cuts[layer].at) if chosen else self._last
            starts.setdefault(first, []).append(position)
        memory: Memory | None = None
        for layer in sorted(starts, key=lambda name: self._cuts[name].at if name else 0):
            if layer is not None:
                memory = remember(self._model, self._cuts[layer], inputs, memory)
            yield from self._from(memory, inputs, starts[layer], masks)

    def _masks(self, ablation: Ablation) -> dict[str, Tensor]:
        return {
            layer: point_of(self._points, layer).mask(units)
            for layer, units in ablation.items()
            if len(units)
        }

    def _from(
        self,
        memory: Memory | None,
        inputs: Inputs,
        positions: Sequence[int],
        masks: Sequence[Mapping[str, Tensor]],
    ) -> Iterator[tuple[int, Tensor]]:
        at_once = max(1, self._rows // len(inputs[0]))
        # Chunks of equal size, so that cached outputs are enlarged once, or at most twice.
        parts = math.ceil(len(positions) / at_once)
        at_once = math.ceil(len(positions) / parts)
        large: Memory | None = None
        for begin in range(0, len(positions), at_once):
            some = positions[begin : begin + at_once]
            if memory and (begin == 0 or len(some) < at_once):
                large = memory.repeated(len(some))
            outputs = self._run(large, inputs, [masks[position] for position in some])
            yield from zip(some, outputs.unflatten(0, (len(some), -1)), strict=True)

    def _run(
        self, memory: Memory | None, inputs: Inputs, masks: Sequence[Mapping[str, Tensor]]
    ) -> Tensor:
        enlarged = tuple(tensor.repeat(len(masks), *[1] * (tensor.ndim - 1)) for tensor in inputs)
        with ExitStack() as stack:
            for layer in dict.fromkeys(name for chosen in masks for name in chosen):
                point = self._points[layer]
                none = torch.zeros(point.channels, dtype=torch.bool)
                chosen = torch.stack([mask.get(layer, none) for mask in masks])
                change = partial(
                    fixed,
                    point=point,
                    masks=chosen.to(inputs[0].device),
                    mean=self._means.get(layer),
                )
                stack.callback(replace_tensor(self._model, point.spec, change).remove)
            stack.enter_context(no_fast_path())
            stack.enter_context(replaying(self._model, memory))
            return logits_of(self._model(*enlarged))


def logits_of(output: object) -> Tensor:
    """Return a classifier's logits: its output, or the item of it called ``logits``, or the first.

    Raises:
        TypeError: If there is no tensor in it.
    """
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor) and isinstance(logits, tuple | list) and len(logits):
        logits = logits[0]
    if not isinstance(logits, Tensor):
        raise TypeError(f"the network gives a {type(output).__name__}, which has no scores")
    return logits
