"""The seven annotated networks, described for splits."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.splits.definitions import Network, Selection
from milannotations.catalog.releases import GROUPS, RELEASES


def released() -> list[Network]:
    """Return the annotated networks; units are numbered from 0 in each layer."""
    return [
        Network(
            name=name,
            model=release.model,
            dataset=release.dataset,
            layers={layer: range(units) for layer, units in release.layers.items()},
            task="classifier" if release.source else "generator",
            base=name in GROUPS["base"],
        )
        for name, release in RELEASES.items()
    ]


def count_neurons(selections: Sequence[Selection]) -> int:
    """Return the number of neurons in selections from the annotated networks.

    >>> count_neurons([Selection(config="alexnet-imagenet", units={"conv1": [0, 3]})])
    2
    """
    sizes = {network.name: sum(map(len, network.layers.values())) for network in released()}
    return sum(
        sizes[selection.config]
        if selection.units is None
        else sum(map(len, selection.units.values()))
        for selection in selections
    )
