"""The seven annotated networks, described for splits."""

from __future__ import annotations

from benchmark.splits.definitions import Network
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
