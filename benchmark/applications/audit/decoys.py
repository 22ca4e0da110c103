"""How many units would be described with some words by chance: descriptions of decoys.

A decoy is what a unit would be that does not care what it sees: as many exemplars as a unit has,
each an image drawn from all that exemplars are chosen from, under the mask of some unit of the
layer. Its regions are as those of the layer's units, and show nothing in common.
What is said of decoys is said by chance, so their share of matches estimates how many of the units'
matches are false, as decoy sequences do in proteomics (Elias and Gygi, Nature Methods 4, 2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from benchmark.applications.described import Unit
from milannotations.exemplars.sources import Source
from milannotations.record import FEATURES, encode_image, encoded_records

_MOST = 200  # decoys of a layer
CONFIDENT = 0.1
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
    return Decoys(
        Dataset.from_list(made, features=FEATURES) if made else neurons.select([]),
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
        made.append({
            "model": record["model"], "dataset": "decoys", "layer": layer, "unit": unit,
            "images": [pool[index] for index in ids], "masks": [masks[i] for i in under],
            "image_ids": ids, "activations": [], "threshold": None, "annotations": [],
        })  # fmt: skip
    return made


@dataclass(frozen=True)
class Discovery:
    """How many matches are false, by estimate.

    Attributes:
        matched: Units that match.
        decoys: Decoys.
        matched_decoys: Decoys that match.
        false: Units expected to match by chance.
        rate: Expected share of the matches that is false, 0 to 1; 1 if nothing matches.
        q: For each matching unit, the least rate among the matches that are at least as confident
            as some match no more confident than it; NaN without confidences.
    """

    matched: int
    decoys: int
    matched_decoys: int
    false: float
    rate: float
    q: dict[Unit, float]

    def confident(self, rate: float = CONFIDENT) -> int:
        """Return how many matches can be taken such that at most this share is false."""
        return sum(value <= rate for value in self.q.values())


def discovery(
    units: Sequence[Unit],
    matched: Mapping[Unit, float | None],
    decoy_layers: Sequence[str],
    decoy_matched: Sequence[bool],
    decoy_scores: Sequence[float | None],
) -> Discovery:
    """Estimate how many of the matches are false.

    A layer's units are expected to match by chance as often as its decoys do. One decoy more than
    were seen is counted, as an estimate of 0 from few decoys would promise too much.

    Args:
        units: All described units.
        matched: Confidence of each that matches; None where the describer has none.
        decoy_layers: The layer of each decoy.
        decoy_matched: Whether it matches.
        decoy_scores: Its confidence.
    """
    per_layer: dict[str, tuple[int, int]] = {}
    for layer in dict.fromkeys(layer for layer, _ in units):
        per_layer[layer] = (
            sum(1 for name, _ in units if name == layer),
            sum(1 for name in decoy_layers if name == layer),
        )
    weights = np.array([per_layer[layer][0] / per_layer[layer][1] for layer in decoy_layers])
    one = float(weights.mean()) if len(weights) else 1.0
    hits = np.array(decoy_matched, dtype=bool)
    false = float(weights[hits].sum()) if len(weights) else 0.0
    rate = min(1.0, (false + one) / len(matched)) if matched else 1.0
    q = {unit: float("nan") for unit in matched}
    scores = [s for s in matched.values() if s is not None]
    if len(scores) == len(matched) and all(s is not None for s in decoy_scores):
        level = np.array([s if s is not None else -np.inf for s in decoy_scores])
        ordered = sorted(matched, key=lambda unit: -float(matched[unit] or 0.0))
        rates = []
        for unit in ordered:
            least = float(matched[unit] or 0.0)
            as_good = sum(1 for s in scores if s >= least)
            above = float(weights[hits & (level >= least)].sum()) if len(weights) else 0.0
            rates.append(min(1.0, (above + one) / as_good))
        least_so_far = np.minimum.accumulate(rates[::-1])[::-1]
        q = {unit: float(value) for unit, value in zip(ordered, least_so_far, strict=True)}
    return Discovery(len(matched), len(hits), int(hits.sum()), false, rate, q)
