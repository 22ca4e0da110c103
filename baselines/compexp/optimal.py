"""The best formula that exists, with a proof: branch and bound over all left-deep formulas.

Let p / q be the best IoU so far and U the mask of a unit. A formula F is better if and only if
W(F), the sum over its atoms of ``q u - p (a - u)`` (u activated pixels of the atom, a its area),
exceeds p |U|: |F and U| / |F or U| > p / q  <=>  q |F and U| - p |F - U| > p |U|. The search for a
better IoU thus becomes a search for a greater sum of fixed integer weights, without any rounding.
(This is Dinkelbach's method for fractional programs, Management Science 13, 1967.)

A prefix is abandoned if no formula that begins with it can be better. The last two labels are tried
all at once, by one product of sparse matrices. La Rosa et al. (arXiv 2511.20934) report how often
the published beam search misses the optimum.
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
    """The best formula of a unit, and a bound for all others.

    Attributes:
        formula: The best formula that the search came across.
        iou: Its IoU.
        proved: Whether it is proved that no formula of at most the given length is better.
        bound: An IoU that none of them exceeds; equal to ``iou`` where that is proved.
        examined: Number of formulas that were examined.
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
        row: Activated pixels of the unit in each atom, (atoms,).
        length: Labels in the longest formula.
        seconds: Time limit, after which the best formula and bound so far are returned.
        start: A formula to begin with, such as that of the beam search; default that of the
            distinct beam search. The result is never worse.

    Raises:
        InputError: If ``start`` is longer than ``length``, or there are so many pixels that sums of
            weights would not fit into 64 bits.
    """
    if start is not None and start.length > length:
        raise InputError(f"the initial formula has {start.length} labels, more than {length}")
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

    search_tree = _BranchAndBound(space, row, start, ends)
    unexamined = search_tree.below(None, length)
    best = search_tree.iou_of(search_tree.best)
    proved, bound = unexamined == 0, max(best, unexamined)
    return Proof(search_tree.best, best, proved, bound, search_tree.examined)


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
        # A label without any activated pixel can only help after AND NOT: anywhere else it adds
        # pixels outside the mask and none inside.
        touching = (self.row @ self.holds) > 0
        self.positive: NDArray[np.intp] = np.flatnonzero(touching)
        self.every = np.arange(len(touching))
        self.best = start
        self._improve(start)

    def iou_of(self, formula: Formula) -> float:
        """Return the IoU of a formula as the beam search computes it."""
        both, union = self._pixels(formula)
        return float(iou(np.int64(both), union - self.unit + both, self.unit))

    def below(self, prefix: Formula | None, more: int) -> float:
        """Examine all formulas that extend a prefix by up to ``more`` labels.

        Returns:
            0 if all were examined; if time ran out, an IoU that none of the others exceeds.
        """
        left, done = 0.0, set[Formula]()
        while True:
            best = self.best
            if prefix is not None and more == 2:
                left = self._last_two(prefix)
                if self.best is best:
                    return left
                continue  # with the new best formula come new weights
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
        """Add a label to a prefix; return the formulas worth extending further, best first."""
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
        """Yield for each operator W and W+ of a prefix with each label worth adding."""
        for operator, labels, sums, ups in self._steps(prefix, self._weighed(prefix)):
            yield _join(prefix, operator, labels), sums, ups

    def _steps(
        self, prefix: Formula, weighed: WeighedPrefix
    ) -> Iterator[tuple[int, Ints, Ints, Ints]]:
        """Yield for each operator the labels worth adding to a prefix, and W and W+ with each."""
        before, label = prefix.rest[-1] if prefix.rest else (None, prefix.first)
        for operator in (_OR, _AND, _NOT):
            labels = np.arange(len(self.now.sums)) if operator == _NOT else self.positive
            # The order of labels that the same operator adds one after the other does not matter:
            # only the ascending order is examined.
            if before == operator or (before is None and operator != _NOT):
                labels = labels[labels > (-1 if label is None else label)]
            if operator != _OR:
                labels = labels[weighed.overlap[labels] > 0]
            both, both_up = weighed.sums[labels], weighed.ups[labels]
            if operator == _OR:
                sums = weighed.whole + self.now.sums[labels] - both
                ups = weighed.whole_up + self.now.ups[labels] - both_up
            elif operator == _AND:
                sums, ups = both, both_up
            else:
                sums, ups = weighed.whole - both, weighed.whole_up - both_up
            yield operator, labels, sums, ups

    def _last_two(self, prefix: Formula) -> float:
        """Examine all formulas that extend a prefix by one or two labels; see ``below``."""
        weighed = self._weighed(prefix)
        waiting: list[tuple[int, int, Ints, Ints]] = []
        for operator, labels, sums, ups in self._steps(prefix, weighed):
            self.examined += len(labels)
            if self._look(sums, _join(prefix, operator, labels)):
                return 0.0
            bounds = self.now.bound(sums, ups, 1)
            some = np.flatnonzero(bounds > self.now.goal)
            # A few at a time: a better formula makes the others unnecessary.
            some = some[np.argsort(-bounds[some], kind="stable")]
            for first in range(0, len(some), _AT_ONCE):
                chosen = some[first : first + _AT_ONCE]
                waiting.append((int(bounds[chosen[0]]), operator, labels[chosen], sums[chosen]))
        # The most promising first, whatever the operator: when time runs out, the bound of the next
        # group holds for all remaining ones.
        for bound, operator, labels, sums in sorted(waiting, key=lambda group: -group[0]):
            if self._late():
                return self.now.as_iou(bound)
            if self._try(prefix, weighed, operator, labels, sums):
                return 0.0
        return 0.0

    def _try(
        self, prefix: Formula, weighed: WeighedPrefix, operator: int, labels: Ints, sums: Ints
    ) -> bool:
        """Add every label to (prefix operator label); return whether this gave a better formula."""
        # W(prefix and B and C), for labels B in rows and all C in columns.
        triple = (weighed.columns[:, labels].T @ weighed.weighted).toarray()
        if operator == _OR:
            both = weighed.sums + self.now.pairs(labels) - triple
        elif operator == _AND:
            both = triple
        else:
            both = weighed.sums - triple
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
        """Take the best of some formulas if it beats the best so far; return whether it does."""
        if not len(sums) or int(sums.max()) <= self.now.goal:
            return False
        self._improve(join(int(sums.argmax())))
        return True

    def _improve(self, formula: Formula) -> None:
        """Make a formula the one to beat, and compute the weights for it."""
        self.best = formula
        both, union = self._pixels(formula)
        self.now = Weights(self.holds, self.row, self.areas, both, union, self.positive)

    def _weighed(self, prefix: Formula) -> WeighedPrefix:
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
