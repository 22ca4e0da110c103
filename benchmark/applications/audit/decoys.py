"""How many units would be described with some words by chance: descriptions of decoys.

A decoy has as many exemplars as a unit, but each is the image of one unit under the mask of another
of the same layer: its regions are where units of this layer are active, and show nothing in common.
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
from milannotations.record import FEATURES, encoded_records

_MOST = 200  # decoys of a layer


@dataclass(frozen=True)
class Decoys:
    """Decoys and where they come from.

    Attributes:
        neurons: Records; ``unit`` counts the decoys of each layer.
        layers: The layer of each.
    """

    neurons: Dataset
    layers: tuple[str, ...]


def make_decoys(neurons: Dataset, seed: int = 0, most: int = _MOST) -> Decoys:
    """Make decoys of the units of each layer: as many as there are, ``most`` at most.

    Args:
        neurons: Records with exemplars.
        seed: Of what goes where.
        most: Decoys of a layer at most.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[int]] = {}
    for row, layer in enumerate(neurons["layer"]):
        rows.setdefault(str(layer), []).append(row)
    made: list[dict[str, Any]] = []
    for layer, members in rows.items():
        if len(members) < 2:
            continue  # nothing to exchange
        some = rng.permutation(members)[: max(most, 2)].tolist()
        records = list(encoded_records(neurons.select(some)))
        made += _exchanged(layer, records, rng)
    return Decoys(
        Dataset.from_list(made, features=FEATURES) if made else neurons.select([]),
        tuple(record["layer"] for record in made),
    )


def _exchanged(
    layer: str, records: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> list[dict[str, Any]]:
    count = len(records)
    depth = min(len(record["masks"]) for record in records)
    # Each rank goes round by a step of its own, in a random order: no decoy gets two images of one
    # unit while there are more units than ranks. Masks go round by another step than images.
    order = rng.permutation(count)
    around = [rng.permutation(count) for _ in range(-(-depth // count))]
    steps = np.concatenate(around)[:depth]
    apart = rng.integers(1, count, depth)
    made = []
    for unit in range(count):
        images = [records[order[(unit + step) % count]] for step in steps]
        masks = [
            records[order[(unit + step + more) % count]]
            for step, more in zip(steps, apart, strict=True)
        ]
        whole = all(record["images"] for record in images)
        made.append({
            "model": records[0]["model"], "dataset": "decoys", "layer": layer, "unit": unit,
            "images": [r["images"][rank] for rank, r in enumerate(images)] if whole else [],
            "masks": [r["masks"][rank] for rank, r in enumerate(masks)],
            "image_ids": [r["image_ids"][rank] for rank, r in enumerate(images)]
            if all(r["image_ids"] for r in images) else [],
            # Peaks of different units are no peaks of one.
            "activations": [], "threshold": None, "annotations": [],
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
