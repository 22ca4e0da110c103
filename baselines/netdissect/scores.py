"""IoU of every unit with every label, and which label is a unit's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from baselines.concepts.partition import Partition
from baselines.concepts.tally import Tally
from baselines.netdissect.variants import Variant

# Only units above it are shown as detectors (Bau et al., CVPR 2017, section 2.2).
BAR = 0.04


@dataclass(frozen=True)
class LabelMatch:
    """One unit and one label.

    Attributes:
        name: The label.
        category: Its primary category.
        number: The data set's number of the label.
        iou: Their score.
        intersection: Pixels that are activated and so labelled.
        truth: Pixels that are so labelled.
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
    """What is found of one unit.

    Attributes:
        unit: The unit.
        threshold: It is activated above it.
        dead: Whether it never is.
        best: Its label; None if it is dead, or overlaps no label.
        top: The best matches, best first; only such with an IoU above 0.
        by_category: The best match of each category that has one.
    """

    unit: int
    threshold: float
    dead: bool
    best: LabelMatch | None
    top: tuple[LabelMatch, ...]
    by_category: dict[str, LabelMatch] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """All numbers of a layer, of shape (units, concepts) where nothing else is said.

    Attributes:
        iou: Scores, float64.
        intersection: Pixels that are activated and labelled.
        truth: Pixels that are labelled, (concepts,).
        activated: Activated pixels that count.
    """

    iou: NDArray[np.float64]
    intersection: NDArray[np.int64]
    truth: NDArray[np.int64]
    activated: NDArray[np.int64]


def scores(partition: Partition, tally: Tally, variant: Variant) -> Scores:
    """Return the scores of a layer, as a published code computes them."""
    held = partition.membership if variant.multiplicity else partition.holds
    held = held.astype(np.float64)
    # Sums stay below 2**53, so floating point is exact.
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
    """Return each unit's labels.

    A unit's label is that of the greatest IoU, however small: the bar of .04 is for display only.
    Of equals in one category the first counts, and of categories with equals the last, as in the
    original code.
    """
    found = scores(partition, tally, variant)
    dead = np.diff(tally.counts.indptr) == 0
    return [
        _result(partition, found, unit, float(tally.thresholds[unit]), bool(dead[unit]), top)
        for unit in range(tally.units)
    ]


def _result(
    partition: Partition, found: Scores, unit: int, threshold: float, dead: bool, top: int
) -> UnitResult:
    iou = found.iou[unit]

    def match(label: int) -> LabelMatch:
        concept = partition.concepts[label]
        return LabelMatch(
            concept.name,
            concept.category,
            concept.number,
            float(iou[label]),
            int(found.intersection[unit, label]),
            int(found.truth[label]),
            int(found.activated[unit, label]),
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
    results: Sequence[UnitResult], categories: Sequence[str], variant: Variant, bar: float = BAR
) -> Summary:
    """Count the detectors of a layer.

    Args:
        results: Of all its units.
        categories: In the order wanted.
        variant: It says whether the bar itself is reached.
        bar: The least IoU of a detector.
    """
    counts: dict[str, dict[str, int]] = {category: {} for category in categories}
    for result in results:
        best = result.best
        if best and (best.iou > bar or (variant.at_bar and best.iou == bar)):
            of_it = counts[best.category]
            of_it[best.name] = of_it.get(best.name, 0) + 1
    return Summary(
        len(results),
        sum(result.dead for result in results),
        {category: sum(of_it.values()) for category, of_it in counts.items()},
        {category: len(of_it) for category, of_it in counts.items()},
        {
            category: dict(sorted(of_it.items(), key=lambda pair: (-pair[1], pair[0])))
            for category, of_it in counts.items()
        },
    )
