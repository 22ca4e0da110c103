"""Hook points: where a layer's units are in a network, and how its tensor becomes their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import Layout, UnusableError


@dataclass(frozen=True)
class HookPoint:
    """Where a layer's units are read or ablated; ``find_hook_points`` finds it.

    Attributes:
        layer: The layer's name, as records have it; see ``LayerSpec``.
        units: Number of units that the layer has.
        height: Height of an activation map; 1 where units have one activation per image.
        width: Width of an activation map.
        layout: How the layer's tensor becomes maps.
        changed_by: What changes the output in place, and is waited for before the output is read:
            a module's path, and which of that module's calls since the layer ran. None reads the
            output as soon as it is computed.
        numbers: Which units are read, ascending; None for all.
        unit_channels: Number of the tensor's channels that make up one unit: 1, or the width of an
            attention head.

    >>> point = HookPoint("layer1", units=4, height=7, width=7, layout=Layout("spatial"))
    >>> point.mask([0, 2]).tolist()
    [True, False, True, False]
    """

    layer: str
    units: int
    height: int
    width: int
    layout: Layout
    changed_by: tuple[str, int] | None = None
    numbers: tuple[int, ...] | None = None
    unit_channels: int = 1

    @cached_property
    def spec(self) -> LayerSpec:
        """The layer's name, split into its parts."""
        return LayerSpec.parse(self.layer)

    @property
    def channels(self) -> int:
        """Length of the tensor's axis of channels."""
        return self.units * self.unit_channels

    @property
    def axis(self) -> int:
        """The tensor's axis of channels: 1, or -1 where channels come last."""
        return -1 if self.layout.kind in ("channels_last", "tokens") else 1

    @property
    def read_units(self) -> int:
        """Number of units that are read."""
        return self.units if self.numbers is None else len(self.numbers)

    def picked(self, maps: Tensor) -> Tensor:
        """Return the maps of the units that are read: a view if their numbers are evenly spaced."""
        if self.numbers is None:
            return maps
        first, last = self.numbers[0], self.numbers[-1]
        step = self.numbers[1] - first if len(self.numbers) > 1 else 1
        if self.numbers == tuple(range(first, last + 1, step)):
            return maps[:, first : last + 1 : step]
        return maps[:, torch.tensor(self.numbers, device=maps.device)]

    def mask(self, units: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """Return which channels these units are, bool (channels,).

        Raises:
            InputError: If there is no such unit.
        """
        numbers = torch.as_tensor([int(unit) for unit in units], dtype=torch.long)
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < self.units:
            bad = next(int(u) for u in numbers if not 0 <= int(u) < self.units)
            raise InputError(f"layer {self.layer!r} has units 0 to {self.units - 1}, no {bad}")
        chosen = torch.zeros(self.units, dtype=torch.bool)
        chosen[numbers] = True
        return chosen.repeat_interleave(self.unit_channels).to(device)


def to_maps(
    spec: LayerSpec, layout: Layout, tensor: Tensor, autoencoders: Mapping[str, nn.Module]
) -> Tensor:
    """Return activation maps, N × units × height × width, from a layer's tensor.

    Raises:
        ValueError: If the layout or the number of heads does not fit.
    """
    maps = layout.maps(tensor)
    if spec.heads is not None:
        if maps.shape[1] % spec.heads:
            raise UnusableError(
                "not divisible into heads",
                f"has {maps.shape[1]} channels, which {spec.heads} heads do not divide",
            )
        heads = maps.unflatten(1, (spec.heads, -1))
        # Squares of half-precision numbers overflow early.
        return torch.linalg.vector_norm(heads, dim=2, dtype=torch.float32)
    if spec.sae:
        # The layout has dropped the tokens that belong to no image position: they are not encoded.
        # Images are encoded one by one to keep the autoencoder's working memory small.
        encoder = autoencoder_of(spec, autoencoders)
        channels_last = maps.permute(0, 2, 3, 1)
        first = encoder(channels_last[0])
        latents = first.new_empty(len(maps), *first.shape)
        latents[0] = first
        for row in range(1, len(maps)):
            latents[row] = encoder(channels_last[row])
        return latents.permute(0, 3, 1, 2)
    return maps


def autoencoder_of(spec: LayerSpec, autoencoders: Mapping[str, nn.Module]) -> nn.Module:
    """Return the autoencoder of a layer, given under its name with or without ``@in`` and ``@1``.

    Raises:
        ValueError: If there is none; lists those that there are.
    """
    for name in (str(spec).removesuffix("@sae"), spec.module):
        if name in autoencoders:
            return autoencoders[name]
    others = f"; there are some for {listed([*autoencoders])}" if autoencoders else ""
    raise UnusableError(
        "without an autoencoder",
        f"has no sparse autoencoder: give one with --sae {spec.module}=PATH{others}",
    )


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Return names separated by commas, and how many more there are than ``limit``."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
