"""Where units are ablated: which channels of which tensor a unit is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint, Spec
from milannotations.hook_points.layout import Layout
from milannotations.hook_points.matching import find_hook_points
from milannotations.hook_points.probe import probe

# A layer and the number of one of its units.
Unit = tuple[str, int]
# Units to be ablated together, by layer.
Ablation = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Site:
    """Where a layer's units are in a tensor that a network computes.

    Attributes:
        layer: The layer's name, as records have it.
        spec: The same in its parts.
        units: Number of units.
        axis: The tensor's axis of channels: 1, or -1 where channels come last.
        channels: Length of that axis.
    """

    layer: str
    spec: Spec
    units: int
    axis: int
    channels: int

    @classmethod
    def of(cls, tap: HookPoint) -> Site:
        """Return where a layer's units are.

        Raises:
            InputError: For latents of an autoencoder: taking them out of the network needs its
                decoder.
        """
        spec = Spec.parse(tap.layer)
        if spec.sae:
            raise InputError(
                f"layer {tap.layer!r}: latents of an autoencoder cannot be ablated, as nothing "
                "puts its reconstruction back into the network; name the layer it stands on"
            )
        axis = -1 if tap.layout.kind in ("channels_last", "tokens") else 1
        # A head has as many channels as the probe does not show; see ``with_channels``.
        return cls(tap.layer, spec, tap.units, axis, tap.units)

    def mask(self, units: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """Return which channels these units are, bool (channels,).

        Raises:
            InputError: If there is no such unit.
        """
        wanted = torch.as_tensor([int(unit) for unit in units], dtype=torch.long)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < self.units:
            bad = next(int(u) for u in wanted if not 0 <= int(u) < self.units)
            raise InputError(f"layer {self.layer!r} has units 0 to {self.units - 1}, no {bad}")
        chosen = torch.zeros(self.units, dtype=torch.bool)
        chosen[wanted] = True
        return chosen.repeat_interleave(self.channels // self.units).to(device)


def sites_of(
    model: nn.Module,
    layers: Sequence[str],
    inputs: tuple[Tensor, ...],
    layouts: Mapping[str, Layout] | None = None,
) -> dict[str, Site]:
    """Find where the units of layers are, in two forward passes.

    Args:
        model: The network, in evaluation mode.
        layers: Names or patterns; see ``milannotations.hook_points.reading.match_layers``.
        inputs: What it is called with: a batch of any size.
        layouts: Layouts by layer pattern, where they cannot be told from the outputs.

    Raises:
        InputError: If there is no such layer, or its units cannot be told; see ``probe``.
    """
    taps = find_hook_points(model, layers, inputs, layouts or {})
    sites = {name: Site.of(tap) for name, tap in taps.items()}
    heads = [name for name, site in sites.items() if site.spec.heads]
    if not heads:
        return sites
    # The same layers without the mark: their units are all channels.
    bare = {name: name.rpartition("@heads=")[0] for name in heads}
    widths = probe(model, [*dict.fromkeys(bare.values())], inputs, layouts or {})
    for name in heads:
        site = sites[name]
        sites[name] = Site(name, site.spec, site.units, site.axis, widths[bare[name]].units)
    return sites


def grouped(units: Iterable[Unit]) -> dict[str, list[int]]:
    """Return units, given as pairs of layer and unit, by layer.

    >>> grouped([("conv1", 3), ("conv2", 0), ("conv1", 1)])
    {'conv1': [3, 1], 'conv2': [0]}
    """
    found: dict[str, list[int]] = {}
    for layer, unit in units:
        found.setdefault(layer, []).append(int(unit))
    return found
