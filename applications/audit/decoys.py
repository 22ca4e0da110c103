"""Decoys: artificial units that are selective for nothing.

A decoy has as many exemplars as a unit. Each is a random image of those that exemplars are chosen
from, under the mask of some unit of the layer, so that its regions look like those of real units
but have nothing in common.

Decoys show how often a describer uses a word when there is no selectivity at all. They do not show
how often it uses the word for a unit that is selective without having learned anything: a filter
with random weights prefers some contrast, so its exemplars do have something in common, which in
images with writing is often the text. Such units are the control in ``untrained``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset

from milannotations.inputs.sources import Source
from milannotations.networks.record import attach_records, records_in
from milannotations.record import FEATURES, encode_image, encoded_records

_MAX_DECOYS = 200  # per layer
_POOL = 500  # images that decoys are drawn from


@dataclass(frozen=True)
class Decoys:
    """Decoys of a network.

    Attributes:
        neurons: Their records; ``unit`` numbers the decoys of each layer.
        layers: Layer of each decoy.
    """

    neurons: Dataset
    layers: tuple[str, ...]


def make_decoys(neurons: Dataset, images: Source, seed: int = 0, most: int = _MAX_DECOYS) -> Decoys:
    """Make a decoy for each unit, but at most ``most`` per layer.

    Args:
        neurons: Records of units with exemplars.
        images: Images that their exemplars were chosen from, at the size of the exemplars.
        seed: Seed of all random draws.
        most: Most decoys per layer.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for row, layer in enumerate(neurons["layer"]):
        rows.setdefault(str(layer), []).append(row)
    decoy_records: list[dict[str, Any]] = []
    drawn = rng.permutation(len(images))[:_POOL].tolist()
    pool = {
        index: {"bytes": encode_image(images.image(index), "jpeg"), "path": None} for index in drawn
    }
    columns = ["model", "masks"]
    for layer, members in rows.items():
        some = rng.permutation(members)[:most].tolist()
        records = list(encoded_records(neurons.select(some), columns))
        decoy_records += _indifferent(layer, records, pool, rng)
    decoys = neurons.select([])
    if decoy_records:
        decoys = Dataset.from_list(decoy_records, features=FEATURES)
    attach_records(decoys, [replace(record, dataset="decoys") for record in records_in(neurons)])
    return Decoys(
        decoys,
        tuple(record["layer"] for record in decoy_records),
    )


def _indifferent(
    layer: str,
    records: Sequence[Mapping[str, Any]],
    pool: Mapping[int, Mapping[str, Any]],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    masks = [mask for record in records for mask in record["masks"]]
    decoys = []
    for unit, record in enumerate(records):
        depth = len(record["masks"])
        ids = rng.choice(list(pool), size=depth, replace=depth > len(pool)).tolist()
        under = rng.integers(0, len(masks), depth)
        decoys.append(
            {
                "model": record["model"],
                "dataset": "decoys",
                "layer": layer,
                "unit": unit,
                "images": [pool[index] for index in ids],
                "masks": [masks[i] for i in under],
                "image_ids": ids,
                "activations": [],
                "threshold": None,
                "annotations": [],
            }
        )
    return decoys
