"""IoU of every unit with every label, and which label is a unit's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from baselines.concepts.dissection_report import DETECTOR_IOU
from baselines.concepts.partition import Partition
from baselines.concepts.tally import Tally
from baselines.netdissect.variants import Variant


@dataclass(frozen=True)
class LabelMatch:
    """How far the masks of a unit overlap one label.

    Attributes:
        name: The label.
        category: Its primary category.
        number: The data set's number of the label.
        iou: Intersection over union, in [0, 1].
        intersection: Pixels that are activated and have the label.
        truth: Pixels that have the label.
        activated: Activated pixels that count; see ``Variant.gate``.
    """

    name: str
    category: str
    number: int
    iou: float
    intersection: int
    truth: int
    activated: int


@dataclass(frozen=True)
class UnitResult:
    """Labels of one unit.

    Attributes:
        unit: The unit.
        threshold: The activation threshold: the unit is activated above it.
        dead: Whether it is never activated.
        best: Its label; None if it is dead, or overlaps no label.
        top: The best labels with an IoU above 0, best first.
        by_category: The best label of each category that has one with an IoU above 0.
    """

    unit: int
    threshold: float
    dead: bool
    best: LabelMatch | None
    top: tuple[LabelMatch, ...]
    by_category: dict[str, LabelMatch] = field(default_factory=dict)

    @property
    def iou(self) -> float:
        """IoU of the unit's label; 0 if it has none."""
        return self.best.iou if self.best else 0.0


@dataclass(frozen=True)
class Scores:
    """All numbers of a layer, each of shape (units, concepts) unless stated otherwise.

    Attributes:
        iou: Intersection over union.
        intersection: Pixels that are activated and have the label.
        truth: Pixels that have the label, (concepts,).
        activated: Activated pixels that count; see ``Variant.gate``.
    """

    iou: NDArray[np.float64]
    intersection: NDArray[np.int64]
    truth: NDArray[np.int64]
    activated: NDArray[np.int64]


def scores(partition: Partition, tally: Tally, variant: Variant) -> Scores:
    """Return the scores of a layer as a published implementation computes them."""
    held = partition.membership if variant.multiplicity else partition.holds
    held = held.astype(np.float64)
    # Sums stay below 2**53, so they are exact in floating point.
    both = np.rint(np.asarray((tally.counts.astype(np.float64) @ held).todense()))
    truth = np.rint(held.T @ partition.areas.astype(np.float64))
    if variant.gate is None:
        every = np.asarray(tally.counts.sum(axis=1)).ravel()
        activated = np.repeat(every[:, None], len(partition.concepts), axis=1)
    else:
        by_category = tally.in_images if variant.gate == "image" else tally.in_masks
        activated = by_category[:, partition.category_of]
    union = activated + truth - both + variant.epsilon
    iou = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    as_int = np.int64
    return Scores(iou, both.astype(as_int), truth.astype(as_int), activated.astype(as_int))


def detect(partition: Partition, tally: Tally, variant: Variant, top: int = 10) -> list[UnitResult]:
    """Return the labels of each unit.

    A unit's label is the one with the greatest IoU, however small: the bar of .04 only decides what
    counts as a detector. Ties are broken as in the original code: within a category the first label
    wins, and between categories the last category.
    """
    of_layer = scores(partition, tally, variant)
    dead = np.diff(tally.counts.indptr) == 0
    return [
        _result(partition, of_layer, unit, float(tally.thresholds[unit]), bool(dead[unit]), top)
        for unit in range(tally.units)
    ]


def _result(
    partition: Partition, of_layer: Scores, unit: int, threshold: float, dead: bool, top: int
) -> UnitResult:
    iou = of_layer.iou[unit]

    def match(label: int) -> LabelMatch:
        concept = partition.concepts[label]
        return LabelMatch(
            concept.name,
            concept.category,
            concept.number,
            float(iou[label]),
            int(of_layer.intersection[unit, label]),
            int(of_layer.truth[label]),
            int(of_layer.activated[unit, label]),
        )

    # By IoU, then the category that comes last, then the label that comes first.
    order = np.lexsort((-partition.category_of, -iou))
    order = order[iou[order] > 0]
    by_category: dict[str, LabelMatch] = {}
    for label in order:
        by_category.setdefault(partition.concepts[label].category, match(int(label)))
        if len(by_category) == len(partition.categories):
            break
    matches = tuple(match(int(label)) for label in order[:top])
    return UnitResult(unit, threshold, dead, matches[0] if matches else None, matches, by_category)


@dataclass(frozen=True)
class Summary:
    """A layer in a few numbers (Bau et al., CVPR 2017, figures 4 and 5).

    Attributes:
        units: Number of units.
        dead: Units that are never activated.
        detectors: Units whose IoU reaches the bar, by category.
        unique: Different labels of those units, by category.
        labels: Units of each of those labels, by category and label, most frequent first.
    """

    units: int
    dead: int
    detectors: dict[str, int]
    unique: dict[str, int]
    labels: dict[str, dict[str, int]]


def summarize(
    results: Sequence[UnitResult],
    categories: Sequence[str],
    variant: Variant,
    bar: float = DETECTOR_IOU,
) -> Summary:
    """Count the detectors of a layer.

    Args:
        results: Of all its units.
        categories: In the order of the result.
        variant: Decides whether an IoU equal to the bar makes a detector.
        bar: The least IoU of a detector.
    """
    counts: dict[str, dict[str, int]] = {category: {} for category in categories}
    for result in results:
        best = result.best
        if best and (best.iou > bar or (variant.at_bar and best.iou == bar)):
            by_label = counts[best.category]
            by_label[best.name] = by_label.get(best.name, 0) + 1
    return Summary(
        len(results),
        sum(result.dead for result in results),
        {category: sum(by_label.values()) for category, by_label in counts.items()},
        {category: len(by_label) for category, by_label in counts.items()},
        {
            category: dict(sorted(by_label.items(), key=lambda pair: (-pair[1], pair[0])))
            for category, by_label in counts.items()
        },
    )
