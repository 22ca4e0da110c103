"""A table of a network's layers: their names, and why some cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import typer
from torch import nn

from milannotations.catalog.models import LoadedModel, load_model
from milannotations.device import resolve_device
from milannotations.exemplars.config import LayersConfig
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import Layout, reason_of
from milannotations.hook_points.matching import match_layers
from milannotations.hook_points.probe import examine
from milannotations.inputs.generators import Latents
from milannotations.inputs.sources import Inputs

WIDTH = 80
_KINDS = {
    "spatial": "maps",
    "channels_last": "maps, units last",
    "tokens": "tokens",
    "tokens_last": "tokens, tokens last",
    "vector": "vector",
}


@dataclass(frozen=True)
class ListedLayer:
    """One layer of a network.

    Attributes:
        name: Its name, as ``--layers`` takes it.
        module: Class of its module.
        point: Its units and maps; None if it cannot be used.
        reason: Why it cannot be used; empty if it can.
    """

    name: str
    module: str
    point: HookPoint | None
    reason: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Name, module, kind, units and map, as text."""
        if self.point is None:
            return self.name, self.module, f"not usable: {self.reason}", "", ""
        vector = self.point.layout.kind == "vector"
        size = "one value" if vector else f"{self.point.height} × {self.point.width}"
        kind = _KINDS[self.point.layout.kind]
        return self.name, self.module, kind, str(self.point.units), size


def list_layers(
    loaded: LoadedModel,
    patterns: Sequence[str] = ("*",),
    layouts: Mapping[str, Layout] | None = None,
    device: torch.device | str = "cpu",
) -> list[ListedLayer]:
    """Run a network once, on noise, and return its layers.

    Args:
        loaded: The network.
        patterns: Names or patterns, see ``match_layers``.
        layouts: Layouts that cannot be detected, in addition to the network's own.
        device: Where it runs.

    Raises:
        InputError: If a pattern matches nothing, or the network cannot run on its inputs.
    """
    module = loaded.module.eval().to(device)
    names = match_layers(module, patterns)
    inputs = tuple(tensor.to(device) for tensor in _example(loaded))
    points, problems = examine(module, names, inputs, {**loaded.layouts, **(layouts or {})})
    return [
        ListedLayer(
            name,
            type(module.get_submodule(LayerSpec.parse(name).module)).__name__,
            points.get(name),
            reason_of(problems[name]) if name in problems else "",
        )
        for name in names
    ]


def print_layers(config: LayersConfig) -> None:
    """Print a table of a network's layers, and which of them are dissected by default."""
    device = resolve_device(config.device)
    loaded = load_model(config.model, config.weights, inputs=config.inputs)
    rows = list_layers(loaded, config.layers or ["*"], device=device)
    for line in table(rows):
        typer.echo(line)
    usable = [row.point for row in rows if row.point]
    units = sum(point.units for point in usable)
    typer.echo(f"{len(usable)} of {len(rows)} layers can be used, with {units:,} units")
    if loaded.layers:
        typer.echo(f"dissected if none is named: {', '.join(loaded.layers)}")


def table(layers: Sequence[ListedLayer], width: int = WIDTH) -> list[str]:
    """Return the lines of a table, no wider than ``width`` where names allow it.

    A row that does not fit has the layer's name on a line of its own. Names are never cut, so that
    they can be copied.
    """
    rows = [("layer", "module", "kind", "units", "map"), *(layer.cells for layer in layers)]
    usable = [row for row in rows if row[4]]
    widths = [max(len(row[column]) for row in usable) for column in range(5)]
    widths[1] = max(len(row[1]) for row in rows)
    rest = sum(widths[1:]) + 2 * 4
    names = max((len(row[0]) for row in rows if len(row[0]) + rest <= width), default=5)
    lines = []
    for name, module, *others in rows:
        kind, units, size = others
        if size:
            numbers = f"{kind:<{widths[2]}}  {units:>{widths[3]}}  {size:>{widths[4]}}"
        else:
            numbers = kind
        if len(name) > names or len(f"{name:<{names}}  {module:<{widths[1]}}  {numbers}") > width:
            lines.append(name)
            name = ""
        lines.append(f"{name:<{names}}  {module:<{widths[1]}}  {numbers}".rstrip())
    return lines


def _example(loaded: LoadedModel) -> Inputs:
    """Return a batch of one input for the network: noise, the same each time."""
    if loaded.latents is not None:
        given = Latents(nn.Identity(), loaded.latents, 1).inputs(0)
        return tuple(tensor[None] for tensor in given)
    height, width = loaded.preprocessing.shape
    shape = (1, len(loaded.preprocessing.mean), height, width)
    return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)
