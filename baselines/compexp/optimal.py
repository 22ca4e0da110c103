"""The best formula there is, proved: branch and bound over all left-deep formulas.

Let p / q be the best IoU so far, U a unit's mask. Formula F is better if and only if W(F), the sum
over its atoms of ``q u - p (a - u)`` (u activated pixels of the atom, a its area), exceeds p |U|:
|F and U| / |F or U| > p / q  <=>  q |F and U| - p |F - U| > p |U|. So the search for a better IoU
is one for a greater sum of fixed integer weights, and no rounding is involved. (The step is
Dinkelbach's for fractional programs, Management Science 13, 1967.)

A prefix is left if no formula that begins with it can be better. The last two labels are tried all
at once, from one product of sparse matrices. La Rosa et al. (arXiv 2511.20934) report how often the
published beam search misses the optimum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.compexp.beam import BeamSearchConfig, search
from baselines.compexp.bounds import WeighedPrefix, Weights
from baselines.compexp.formula import Formula
from baselines.compexp.space import Floats, Ints, Space, iou
from milannotations.errors import InputError

_OR, _AND, _NOT = range(3)
_AT_ONCE = 64
Join = Callable[[int], Formula]


@dataclass(frozen=True)
class Proof:
    """The best formula of a unit, and how sure that is.

    Attributes:
        formula: The best formula that was found.
        iou: Its IoU.
        proved: Whether no formula of at most that length is better.
        bound: An IoU that none of them exceeds; ``iou`` itself where that is proved.
        examined: How many formulas were looked at.
    """

    formula: Formula
    iou: float
    proved: bool
    bound: float
    examined: int


def optimal(
    space: Space,
    row: Floats,
    length: int,
    *,
    seconds: float | None = None,
    start: Formula | None = None,
) -> Proof:
    """Find the best formula of at most ``length`` labels.

    Args:
        space: The atoms.
        row: The unit's activated pixels of each atom, (atoms,).
        length: Most labels in a formula.
        seconds: Stop after that long, with what is proved until then.
        start: A formula to begin with, such as the beam search's; default that of the distinct
            beam search. The result is never worse.

    Raises:
        InputError: If the start is longer than ``length``, or there are so many pixels that sums
            of weights would not fit into 64 bits.
    """
    if start is not None and start.length > length:
        raise InputError(f"the formula to begin with has {start.length} labels, more than {length}")
    if int(space.areas.sum()) * int(row.sum()) * (length + 1) >= 2**63:
        raise InputError(
            f"{int(space.areas.sum()):,} pixels, {int(row.sum()):,} of them activated, are too "
            "many for exact sums; use smaller label maps or search=distinct"
        )
    if start is None:
        counts = csr_array(row[None])
        options = BeamSearchConfig(length=length, distinct=True)
        start = search(space, counts, options)[0].formula
    if start.first is None:
        return Proof(start, 0.0, True, 0.0, len(space.labels))
    ends = math.inf if seconds is None else time.monotonic() + seconds

    work = _BranchAndBound(space, row, start, ends)
    left = work.below(None, length)
    found = work.iou_of(work.best)
    return Proof(work.best, found, left == 0, max(found, left), work.examined)


class _BranchAndBound:
    """The search for one unit."""

    def __init__(self, space: Space, row: Floats, start: Formula, ends: float) -> None:
        self.space = space
        self.row = row.astype(np.int64)
        self.areas = space.areas.astype(np.int64)
        self.holds = csr_array(space.holds, dtype=np.int64)
        self.unit = int(self.row.sum())
        self._ends = ends
        self.examined = 0
        # A label that no activated pixel has can only help after AND NOT: anywhere else it adds
        # pixels outside the mask and none inside.
        touching = (self.row @ self.holds) > 0
        self.positive: NDArray[np.intp] = np.flatnonzero(touching)
        self.every = np.arange(len(touching))
        self.best = start
        self._improve(start)

    def iou_of(self, formula: Formula) -> float:
        """Return a formula's IoU, as the beam search computes it."""
        both, union = self._pixels(formula)
        return float(iou(np.int64(both), union - self.unit + both, self.unit))

    def below(self, prefix: Formula | None, more: int) -> float:
        """Look at all formulas that begin with a prefix and have up to ``more`` labels more.

        Returns:
            0, or if time was too short an IoU that none of those not looked at exceeds.
        """
        left, done = 0.0, set[Formula]()
        while True:
            best = self.best
            if prefix is not None and more == 2:
                left = self._last_two(prefix)
                if self.best is best:
                    return left
                continue  # sums of the old weights cannot be compared with the new goal
            children = [pair for pair in self._children(prefix, more) if pair[1] not in done]
            for bound, child in children if self.best is best else ():
                if self._late():
                    return max(left, self.now.as_iou(bound))
                left = max(left, self.below(child, more - 1))
                done.add(child)
                if self.best is not best:
                    break
            if self.best is best:
                return left

    def _children(self, prefix: Formula | None, more: int) -> list[tuple[int, Formula]]:
        """Look at a prefix with one label more; return those that may lead further, best first."""
        children: list[tuple[int, Formula]] = []
        for join, sums, ups in self._first() if prefix is None else self._joined(prefix):
            self.examined += len(sums)
            if self._look(sums, join):
                return []
            bounds = self.now.bound(sums, ups, more - 1)
            children += [
                (int(bounds[i]), join(int(i))) for i in np.flatnonzero(bounds > self.now.goal)
            ]
        return sorted(children, key=lambda pair: -pair[0]) if more > 1 else []

    def _first(self) -> Iterator[tuple[Join, Ints, Ints]]:
        labels = self.positive

        def join(i: int) -> Formula:
            return Formula(int(labels[i]))

        yield join, self.now.sums[labels], self.now.ups[labels]

    def _joined(self, prefix: Formula) -> Iterator[tuple[Join, Ints, Ints]]:
        """For each operator give W and W+ of a prefix joined with the labels worth joining."""
        for operator, labels, sums, ups in self._steps(prefix, self._part(prefix)):
            yield _join(prefix, operator, labels), sums, ups

    def _steps(
        self, prefix: Formula, part: WeighedPrefix
    ) -> Iterator[tuple[int, Ints, Ints, Ints]]:
        """For each operator give the labels that are worth joining, and W and W+ with each."""
        before, label = prefix.rest[-1] if prefix.rest else (None, prefix.first)
        for operator in (_OR, _AND, _NOT):
            labels = np.arange(len(self.now.sums)) if operator == _NOT else self.positive
            # Of labels that the same operator joins one after the other the order does not
            # matter: the ascending one stands for all.
            if before == operator or (before is None and operator != _NOT):
                labels = labels[labels > (-1 if label is None else label)]
            if operator != _OR:
                labels = labels[part.overlap[labels] > 0]
            both, both_up = part.sums[labels], part.ups[labels]
            if operator == _OR:
                sums = part.whole + self.now.sums[labels] - both
                ups = part.whole_up + self.now.ups[labels] - both_up
            elif operator == _AND:
                sums, ups = both, both_up
            else:
                sums, ups = part.whole - both, part.whole_up - both_up
            yield operator, labels, sums, ups

    def _last_two(self, prefix: Formula) -> float:
        """Look at all formulas of a prefix and one or two labels more; see ``below``."""
        part = self._part(prefix)
        waiting: list[tuple[int, int, Ints, Ints]] = []
        for operator, labels, sums, ups in self._steps(prefix, part):
            self.examined += len(labels)
            if self._look(sums, _join(prefix, operator, labels)):
                return 0.0
            bounds = self.now.bound(sums, ups, 1)
            some = np.flatnonzero(bounds > self.now.goal)
            # Few at a time: a better formula spares the rest.
            some = some[np.argsort(-bounds[some], kind="stable")]
            for first in range(0, len(some), _AT_ONCE):
                chosen = some[first : first + _AT_ONCE]
                waiting.append((int(bounds[chosen[0]]), operator, labels[chosen], sums[chosen]))
        # The most promising first, whatever the operator: so the first bound that is left when time
        # is up holds for all that are.
        for bound, operator, labels, sums in sorted(waiting, key=lambda group: -group[0]):
            if self._late():
                return self.now.as_iou(bound)
            if self._try(prefix, part, operator, labels, sums):
                return 0.0
        return 0.0

    def _try(
        self, prefix: Formula, part: WeighedPrefix, operator: int, labels: Ints, sums: Ints
    ) -> bool:
        """Join every label to (prefix operator label); return whether one is a better formula."""
        # W(prefix and B and C), for labels B in rows and all C in columns.
        triple = (part.columns[:, labels].T @ part.weighted).toarray()
        if operator == _OR:
            both = part.sums + self.now.pairs(labels) - triple
        elif operator == _AND:
            both = triple
        else:
            both = part.sums - triple
        self.examined += 3 * both.size
        whole = sums[:, None]
        with_or = (whole + self.now.sums - both)[:, self.positive]
        join = _join(prefix, operator, labels)
        return (
            self._look(with_or.ravel(), _join_two(join, _OR, self.positive))
            or self._look(both.ravel(), _join_two(join, _AND, self.every))
            or self._look((whole - both).ravel(), _join_two(join, _NOT, self.every))
        )

    def _look(self, sums: Ints, join: Join) -> bool:
        """Take the best of some formulas if it is better than the best so far; say whether."""
        if not len(sums) or int(sums.max()) <= self.now.goal:
            return False
        self._improve(join(int(sums.argmax())))
        return True

    def _improve(self, formula: Formula) -> None:
        """Make a formula the one to beat, and weigh the atoms anew."""
        self.best = formula
        both, union = self._pixels(formula)
        self.now = Weights(self.holds, self.row, self.areas, both, union, self.positive)

    def _part(self, prefix: Formula) -> WeighedPrefix:
        rows = np.flatnonzero(prefix.atoms(self.space.columns))
        return WeighedPrefix.of(self.holds[rows], self.now.atoms[rows], self.areas[rows])

    def _pixels(self, formula: Formula) -> tuple[int, int]:
        """Return |F and U| and |F or U|."""
        atoms = formula.atoms(self.space.columns)
        both = int(self.row[atoms].sum())
        return both, int(self.areas[atoms].sum()) + self.unit - both

    def _late(self) -> bool:
        return time.monotonic() > self._ends


def _join(prefix: Formula, operator: int, labels: Ints) -> Join:
    return lambda i: prefix.joined(operator, int(labels[i]))


def _join_two(first: Join, operator: int, labels: NDArray[np.intp]) -> Join:
    def join(i: int) -> Formula:
        row, column = divmod(i, len(labels))
        return first(row).joined(operator, int(labels[column]))

    return join
