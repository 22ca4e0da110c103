"""Decoys: made-up units that do not care what they see.

A decoy has as many exemplars as a unit, each an image drawn from all that exemplars are chosen
from, under the mask of some unit of the layer. Its regions are as those of the layer's units, and
show nothing in common.

Decoys show how often a describer names a word where there is no selectivity at all. They do not
show how often it names one of a unit that is selective without having learned anything: a filter
with random weights prefers some contrast, so that its exemplars do have something in common, and
where images hold text that is often the text. Such units are the control in ``untrained``.
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

_MOST = 200  # decoys of a layer
_POOL = 500  # images that decoys are made of


@dataclass(frozen=True)
class Decoys:
    """Decoys and where they come from.

    Attributes:
        neurons: Records; ``unit`` counts the decoys of each layer.
        layers: The layer of each.
    """

    neurons: Dataset
    layers: tuple[str, ...]


def make_decoys(neurons: Dataset, images: Source, seed: int = 0, most: int = _MOST) -> Decoys:
    """Make decoys of the units of each layer: as many as there are, ``most`` at most.

    Args:
        neurons: Records with exemplars.
        images: What their exemplars were chosen from, with exemplars of the same size.
        seed: Of what goes where.
        most: Decoys of a layer at most.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for row, layer in enumerate(neurons["layer"]):
        rows.setdefault(str(layer), []).append(row)
    made: list[dict[str, Any]] = []
    drawn = rng.permutation(len(images))[:_POOL].tolist()
    pool = {
        index: {"bytes": encode_image(images.image(index), "jpeg"), "path": None} for index in drawn
    }
    columns = ["model", "masks"]
    for layer, members in rows.items():
        some = rng.permutation(members)[:most].tolist()
        records = list(encoded_records(neurons.select(some), columns))
        made += _indifferent(layer, records, pool, rng)
    decoys = Dataset.from_list(made, features=FEATURES) if made else neurons.select([])
    attach_records(decoys, [replace(record, dataset="decoys") for record in records_in(neurons)])
    return Decoys(
        decoys,
        tuple(record["layer"] for record in made),
    )


def _indifferent(
    layer: str,
    records: Sequence[Mapping[str, Any]],
    pool: Mapping[int, Mapping[str, Any]],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    masks = [mask for record in records for mask in record["masks"]]
    made = []
    for unit, record in enumerate(records):
        depth = len(record["masks"])
        ids = rng.choice(list(pool), size=depth, replace=depth > len(pool)).tolist()
        under = rng.integers(0, len(masks), depth)
        made.append(
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
    return made
