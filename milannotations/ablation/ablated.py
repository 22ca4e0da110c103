"""Zero and mean ablation: fixing units while a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import Tensor, nn, where

from milannotations.errors import InputError, did_you_mean
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.hooks import replace_tensor

# A layer and the number of one of its units: the last two fields of a ``NeuronKey``.
LayerUnit = tuple[str, int]
# Units to be ablated together, by layer.
Ablation = Mapping[str, Sequence[int]]
# For mean ablation: what channels are set to, float (channels,) of each layer; layers that are
# not among them are set to 0.
Means = Mapping[str, Tensor]


@contextmanager
def ablated(
    model: nn.Module,
    points: Mapping[str, HookPoint],
    ablation: Ablation,
    means: Means | None = None,
) -> Iterator[nn.Module]:
    """Run a network without some units, as long as the ``with`` block lasts.

    An ablated unit has the same value at all positions, class and register tokens included.

    Args:
        model: The network.
        points: Its layers, from ``find_hook_points``.
        ablation: Which units, by layer.
        means: For mean ablation: what channels are set to, float (channels,) by layer; see
            ``mean_activations``. By default units are set to 0 (zero ablation), which disturbs
            later layers more.

    Yields:
        The network itself.

    Raises:
        InputError: If a layer or a unit is unknown, or cannot be ablated.

    >>> import torch
    >>> from milannotations.hook_points.matching import find_hook_points
    >>> model, inputs = nn.Sequential(nn.Linear(2, 3)).eval(), torch.ones(2, 2)
    >>> with ablated(model, find_hook_points(model, ["0"], (inputs,)), {"0": [1]}):
    ...     model(inputs)[:, 1].tolist()
    [0.0, 0.0]
    """
    with ExitStack() as stack:
        for layer, units in ablation.items():
            if not len(units):
                continue
            point = point_of(points, layer)
            change = partial(
                fixed, point=point, masks=point.mask(units)[None], mean=(means or {}).get(layer)
            )
            stack.callback(replace_tensor(model, point.spec, change).remove)
        yield model


def point_of(points: Mapping[str, HookPoint], layer: str) -> HookPoint:
    """Return a layer's hook point.

    Raises:
        InputError: If it is not among them (near names are suggested), or if its units are the
            latents of an autoencoder: removing those would need its decoder.
    """
    if layer not in points:
        raise InputError(f"layer {layer!r} is not looked at{did_you_mean(layer, points)}")
    point = points[layer]
    if point.spec.sae:
        raise InputError(
            f"layer {layer!r}: latents of an autoencoder cannot be ablated, as nothing puts its "
            "reconstruction back into the network; name the layer that it encodes"
        )
    return point


def fixed(tensor: Tensor, point: HookPoint, masks: Tensor, mean: Tensor | None) -> Tensor:
    """Return a tensor with some channels of each row fixed.

    Args:
        tensor: What the layer gives, of any layout.
        point: Where its channels are.
        masks: bool (sets, channels). The tensor's rows form as many groups of equal size.
        mean: float (channels,); default 0.

    Raises:
        InputError: If the tensor has another number of channels than in the probe.
    """
    if tensor.shape[point.axis] != point.channels:
        raise InputError(
            f"layer {point.layer!r} gives {tensor.shape[point.axis]} channels, and gave "
            f"{point.channels} in the probe"
        )
    axis = point.axis % tensor.ndim
    shape = [1] * tensor.ndim
    shape[axis] = point.channels
    groups = tensor.unflatten(0, (len(masks), -1))
    mask = masks.to(tensor.device).view(len(masks), 1, *shape[1:])
    if mean is None:
        return groups.masked_fill(mask, 0).flatten(0, 1)
    value = mean.to(tensor.device, tensor.dtype).view(1, 1, *shape[1:])
    return where(mask, value, groups).flatten(0, 1)


def grouped(units: Iterable[LayerUnit]) -> dict[str, list[int]]:
    """Return units, given as pairs of layer and unit, by layer.

    >>> grouped([("conv1", 3), ("conv2", 0), ("conv1", 1)])
    {'conv1': [3, 1], 'conv2': [0]}
    """
    by_layer: dict[str, list[int]] = {}
    for layer, unit in units:
        by_layer.setdefault(layer, []).append(int(unit))
    return by_layer
