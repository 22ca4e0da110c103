"""The beam search over formulas, exact by sums over atoms.

Let U be the mask of a unit and F a formula. Two sparse products give |F and C| and |F and C and U|
for every label C at once: they add up, label by label, the areas of F's atoms and the unit's
activated pixels in them. What F OR C, F AND C and F AND NOT C cover follows from these numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.compexp.formula import OPERATORS, Formula
from baselines.compexp.space import Floats, Ints, Space, counted, dense_row, iou


@dataclass(frozen=True)
class BeamSearchConfig:
    """Settings of the search; the defaults are the published ones.

    Attributes:
        beam: Formulas kept from round to round.
        length: Labels in the longest formula.
        penalty: The score of a formula is multiplied by it for each label after the first and, as
            in the original code, for each NOT.
        candidates: How many of the best single labels may be added to formulas; None for all.
        distinct: Keep only one of several formulas that cover the same pixels. The published
            search keeps all of them, so its beam fills up with formulas such as ``(a OR a)``.
    """

    beam: int = 5
    length: int = 3
    penalty: float = 1.0
    candidates: int | None = None
    distinct: bool = False


@dataclass(frozen=True)
class SearchResult:
    """The best formulas of one unit.

    Attributes:
        formula: The best formula.
        iou: Its score: IoU times the penalty.
        alternatives: The other formulas of the last beam and their scores, best first.
        best_single: The best formula of one label.
        single_iou: Its IoU.
    """

    formula: Formula
    iou: float
    alternatives: tuple[tuple[Formula, float], ...]
    best_single: Formula
    single_iou: float


def search(
    space: Space,
    counts: csr_array,
    options: BeamSearchConfig | None = None,
    *,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[SearchResult]:
    """Search for each unit's best formula.

    >>> space = Space(csr_array([[1.0, 0.0], [0.0, 1.0]]), np.array([5, 3]))
    >>> (result,) = search(space, csr_array([[5, 0]]))
    >>> result.formula.text(["river", "lake"]), round(result.iou, 6)
    ('river', 1.0)

    Args:
        space: The atoms.
        counts: Rows of ``Tally.counts``, (units, atoms).
        options: See ``BeamSearchConfig``.
        threads: Units searched at the same time; default one for each processor.
        advance: Called with the number of units done.

    Returns:
        One result per unit, in order. A unit that no label overlaps has the formula ``NONE`` and an
        IoU of 0.
    """
    units = range(counts.shape[0])

    def search_unit(unit: int) -> SearchResult:
        return _search(space, dense_row(counts, unit), options or BeamSearchConfig())

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        results = []
        futures = [pool.submit(search_unit, unit) for unit in units]
        try:
            for future in futures:
                results.append(future.result())
                advance(1)
        finally:
            for future in futures:
                future.cancel()
    return results


def _search(space: Space, row: Floats, options: BeamSearchConfig) -> SearchResult:
    unit = int(row.sum())
    active = np.flatnonzero(row)
    hits = counted(row[active] @ space.holds[active])
    single = iou(hits, space.concept_areas, unit)
    order = np.argsort(-single, kind="stable")
    order = order[single[order] > 0]
    if not len(order):
        nothing = Formula(None)
        return SearchResult(nothing, 0.0, (), nothing, 0.0)
    if options.distinct:
        beam = _distinct(space, single, lambda c: Formula(c), options.beam)
    else:
        beam = [(Formula(int(c)), float(single[c])) for c in order[: options.beam]]
    best_single, single_iou = beam[0]
    candidates = space.labels if options.candidates is None else order[: options.candidates]
    for _ in range(options.length - 1):
        beam = _round(space, row, unit, hits, beam, candidates, options)
    (best, score), *others = beam
    return SearchResult(best, score, tuple(others), best_single, single_iou)


def _round(
    space: Space,
    row: Floats,
    unit: int,
    hits: Ints,
    beam: Sequence[tuple[Formula, float]],
    candidates: NDArray[np.intp],
    options: BeamSearchConfig,
) -> list[tuple[Formula, float]]:
    """Add every label to every formula of the beam, and return the best formulas of all."""
    scores = [np.array([score for _, score in beam])]
    for formula, _ in beam:
        covered = space.covered(formula)
        mine = row[covered.rows]
        both = counted(mine @ covered.holds)[candidates]
        hit, area = int(mine.sum()), covered.area
        shared = covered.with_label[candidates]
        # OR, AND and AND NOT, in columns.
        hit_by = np.stack([hit + hits[candidates] - both, both, hit - both], axis=1)
        area_of = np.stack(
            [area + space.concept_areas[candidates] - shared, shared, area - shared], axis=1
        )
        ious = iou(hit_by, area_of, unit)
        if options.distinct:
            # A label that changes nothing gives the formula itself, which is in the beam already.
            label_areas = space.concept_areas[candidates]
            same = np.stack([shared == label_areas, shared == area, shared == 0], axis=1)
        lengths = [formula.joined(i, 0).published_length for i in range(len(OPERATORS))]
        # Python's powers: those of numpy may differ in the last bit.
        scored = np.array([options.penalty ** (length - 1) for length in lengths]) * ious
        scores.append((np.where(same, 0.0, scored) if options.distinct else scored).ravel())
    flat = np.concatenate(scores)

    def formula_at(position: int) -> Formula:
        if position < len(beam):
            return beam[position][0]
        prefix, addition = divmod(position - len(beam), len(candidates) * len(OPERATORS))
        label, operator = divmod(addition, len(OPERATORS))
        return beam[prefix][0].joined(operator, int(candidates[label]))

    if not options.distinct:
        # A stable sort, so that ties keep their order, as in the original.
        top = np.argsort(-flat, kind="stable")[: options.beam]
        return [(formula_at(int(i)), float(flat[i])) for i in top]
    return _distinct(space, flat, formula_at, options.beam)


def _distinct(
    space: Space, flat: Floats, formula_at: Callable[[int], Formula], wanted: int
) -> list[tuple[Formula, float]]:
    """Return the best formulas that cover different pixels."""
    formulas: list[tuple[Formula, float]] = []
    seen: set[bytes] = set()
    for i in np.argsort(-flat, kind="stable"):
        if flat[i] <= 0:
            break
        formula = formula_at(int(i))
        pixels = np.packbits(formula.atoms(space.columns)).tobytes()
        if pixels not in seen:
            seen.add(pixels)
            formulas.append((formula, float(flat[i])))
            if len(formulas) == wanted:
                break
    return formulas
