"""The atoms of a data set, and numbers of formulas that are the same for all units."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from baselines.compexp.formula import Formula

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_EPSILON = 1e-10  # of the original code
_REMEMBERED = 2**29  # bytes of the cache


def dense_row(counts: csr_array, unit: int) -> Floats:
    """Return the activated pixels of a unit in each atom, float64 (atoms,)."""
    row = np.zeros(counts.shape[1])
    span = slice(counts.indptr[unit], counts.indptr[unit + 1])
    row[counts.indices[span]] = counts.data[span]
    return row


class Space:
    """The atoms of a data set, with a cache of what formulas cover, which all units share.

    >>> space = Space(csr_array([[1.0, 0.0], [1.0, 1.0]]), np.array([5, 3]))
    >>> space.covered(Formula(0)).area, space.concept_areas.tolist()
    (8, [8, 3])

    Args:
        holds: ``Partition.holds``.
        areas: ``Partition.areas``.
    """

    def __init__(self, holds: csr_array, areas: Ints) -> None:
        self.holds = holds
        self.areas = areas.astype(np.float64)
        self.columns = csc_array(holds)
        self.labels = np.flatnonzero(self.concept_areas > 0)
        self._covered: OrderedDict[Formula, Covered] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @cached_property
    def concept_areas(self) -> Ints:
        """Pixels of each label, (concepts,)."""
        return counted(self.areas @ self.holds)

    @property
    def remembered(self) -> int:
        """Bytes of the cache of formulas; never more than 512 MB."""
        return self._bytes

    def covered(self, formula: Formula) -> Covered:
        """Return what a formula covers, from the cache if it is there."""
        with self._lock:
            cached = self._covered.get(formula)
            if cached is not None:
                self._covered.move_to_end(formula)
                return cached
        rows = np.flatnonzero(formula.atoms(self.columns))
        holds, areas = self.holds[rows], self.areas[rows]
        covered = Covered(rows, holds, counted(areas @ holds), int(areas.sum()))
        with self._lock:
            if formula not in self._covered:
                self._covered[formula] = covered
                self._bytes += covered.size
            # The least recently used goes first: single labels, which recur, stay.
            while self._bytes > _REMEMBERED:
                self._bytes -= self._covered.popitem(last=False)[1].size
        return covered


@dataclass(frozen=True)
class Covered:
    """The atoms of a formula.

    Attributes:
        rows: Positions of the atoms.
        holds: Their rows of ``Partition.holds``.
        with_label: Pixels of (formula and C) for each label C, (concepts,).
        area: Pixels of the formula.
    """

    rows: NDArray[np.intp]
    holds: csr_array
    with_label: Ints
    area: int

    @property
    def size(self) -> int:
        """Bytes of memory."""
        holds = (self.holds.data, self.holds.indices, self.holds.indptr)
        return sum(array.nbytes for array in (self.rows, self.with_label, *holds))


def iou(both: Ints, area: Ints | int, unit: int) -> Floats:
    """Return the IoU with the original code's rounding, to the last bit."""
    ratio: Floats = both / (area + unit - both + _EPSILON)
    return ratio


def counted(sums: NDArray[np.float64]) -> Ints:
    """Return sums of pixels, which are exact in floating point, as integers."""
    return np.rint(np.asarray(sums)).astype(np.int64)
