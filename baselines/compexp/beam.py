"""The beam search over formulas, exact by sums over atoms.

For a formula F the sums over its atoms of areas and of a unit's activated pixels, label by label,
give |F and C| and |F and C and U| for every label C at once: two sparse products. What F OR C, F
AND C and F AND NOT C cover follows from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from baselines.compexp.formula import OPERATORS, Formula, by_columns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_EPSILON = 1e-10  # of the original code
_CACHED = 4096  # formulas whose areas are remembered


@dataclass(frozen=True)
class Options:
    """What the search does; the defaults are the published ones.

    Attributes:
        beam: Formulas kept from round to round.
        length: Most labels in a formula.
        penalty: The score of a formula is multiplied by it for each label more than one, and, as
            in the original code, for each NOT.
        candidates: Only so many of the best single labels are joined to formulas; None for all.
        distinct: Count formulas once that are the same set of pixels. The published search does
            not, so that its beam fills up with the like of ``(a OR a)``.
    """

    beam: int = 5
    length: int = 3
    penalty: float = 1.0
    candidates: int | None = None
    distinct: bool = False


@dataclass(frozen=True)
class Found:
    """What the search found for one unit.

    Attributes:
        formula: The best formula.
        iou: Its score: IoU, times the penalty.
        alternatives: The rest of the last beam, best first.
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
    options: Options | None = None,
    *,
    threads: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """Search for each unit's best formula.

    Args:
        space: The atoms.
        counts: Rows of ``Tally.counts``, (units, atoms).
        options: See ``Options``.
        threads: How many units are worked on at once; default one for each processor.
        advance: Called with the number of units done.

    Returns:
        One per unit, in order. A unit that no label overlaps has the formula ``NONE`` and IoU 0.
    """
    units = range(counts.shape[0])

    def one(unit: int) -> Found:
        return _search(space, dense_row(counts, unit), options or Options())

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        found = []
        futures = [pool.submit(one, unit) for unit in units]
        try:
            for future in futures:
                found.append(future.result())
                advance(1)
        finally:
            for future in futures:
                future.cancel()
    return found


def dense_row(counts: csr_array, unit: int) -> Floats:
    """Return a unit's activated pixels of each atom, float64 (atoms,)."""
    row = np.zeros(counts.shape[1])
    span = slice(counts.indptr[unit], counts.indptr[unit + 1])
    row[counts.indices[span]] = counts.data[span]
    return row


class Space:
    """The atoms, with what can be said of formulas for all units alike.

    Args:
        holds: ``Partition.holds``.
        areas: ``Partition.areas``.
    """

    def __init__(self, holds: csr_array, areas: Ints) -> None:
        self.holds = holds
        self.areas = areas.astype(np.float64)
        self.columns: csc_array = by_columns(holds)
        self.labels = np.flatnonzero(self.concept_areas > 0)
        self._cache: dict[Formula, Covered] = {}

    @cached_property
    def concept_areas(self) -> Ints:
        """Pixels of each label, (concepts,)."""
        return counted(self.areas @ self.holds)

    def covered(self, formula: Formula) -> Covered:
        """Return what a formula covers."""
        known = self._cache.get(formula)
        if known is None:
            rows = np.flatnonzero(formula.atoms(self.columns))
            part = self.holds[rows]
            known = Covered(
                rows, part, counted(self.areas[rows] @ part), int(self.areas[rows].sum())
            )
            if len(self._cache) >= _CACHED:
                self._cache.clear()  # single labels, which recur most, are soon back
            self._cache[formula] = known
        return known


@dataclass(frozen=True)
class Covered:
    """The atoms of a formula, whatever the unit.

    Attributes:
        rows: Which atoms.
        holds: Their rows of ``Partition.holds``.
        with_label: Pixels of the formula and each label, (concepts,).
        area: Pixels of the formula.
    """

    rows: NDArray[np.intp]
    holds: csr_array
    with_label: Ints
    area: int


def iou(both: Ints, area: Ints | int, unit: int) -> Floats:
    """Return the IoU as the original code computes it, to the last bit."""
    ratio: Floats = both / (area + unit - both + _EPSILON)
    return ratio


def counted(sums: NDArray[np.float64]) -> Ints:
    """Return sums of pixels, which floating point holds exactly, as integers."""
    return np.rint(np.asarray(sums)).astype(np.int64)


def _search(space: Space, row: Floats, options: Options) -> Found:
    unit = int(row.sum())
    active = np.flatnonzero(row)
    hits = counted(row[active] @ space.holds[active])
    single = iou(hits, space.concept_areas, unit)
    order = np.argsort(-single, kind="stable")
    order = order[single[order] > 0]
    if not len(order):
        nothing = Formula(None)
        return Found(nothing, 0.0, (), nothing, 0.0)
    beam = [(Formula(int(c)), float(single[c])) for c in order[: options.beam]]
    best_single, single_iou = beam[0]
    candidates = space.labels if options.candidates is None else order[: options.candidates]
    for _ in range(options.length - 1):
        beam = _round(space, row, unit, hits, beam, candidates, options)
    (best, score), *others = beam
    return Found(best, score, tuple(others), best_single, single_iou)


def _round(
    space: Space,
    row: Floats,
    unit: int,
    hits: Ints,
    beam: Sequence[tuple[Formula, float]],
    candidates: NDArray[np.intp],
    options: Options,
) -> list[tuple[Formula, float]]:
    """Join every label to every formula of the beam, and keep the best of all."""
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
            # Joining a label that changes nothing gives the formula itself, which is there.
            area_there = space.concept_areas[candidates]
            same = np.stack([shared == area_there, shared == area, shared == 0], axis=1)
        lengths = [formula.joined(i, 0).published_length for i in range(len(OPERATORS))]
        scored = options.penalty ** (np.array(lengths) - 1) * ious
        scores.append((np.where(same, 0.0, scored) if options.distinct else scored).ravel())
    flat = np.concatenate(scores)

    def formula_at(position: int) -> Formula:
        if position < len(beam):
            return beam[position][0]
        of, place = divmod(position - len(beam), len(candidates) * len(OPERATORS))
        label, operator = divmod(place, len(OPERATORS))
        return beam[of][0].joined(operator, int(candidates[label]))

    if not options.distinct:
        # Stable, so that of equals the one that comes first stays first, as in the original.
        top = np.argsort(-flat, kind="stable")[: options.beam]
        return [(formula_at(int(i)), float(flat[i])) for i in top]
    return _distinct(space, flat, formula_at, options.beam)


def _distinct(
    space: Space, flat: Floats, formula_at: Callable[[int], Formula], wanted: int
) -> list[tuple[Formula, float]]:
    """Return the best formulas that are different sets of pixels."""
    kept: list[tuple[Formula, float]] = []
    seen: set[bytes] = set()
    for i in np.argsort(-flat, kind="stable"):
        if flat[i] <= 0:
            break
        formula = formula_at(int(i))
        pixels = np.packbits(formula.atoms(space.columns)).tobytes()
        if pixels not in seen:
            seen.add(pixels)
            kept.append((formula, float(flat[i])))
            if len(kept) == wanted:
                break
    return kept
