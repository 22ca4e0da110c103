"""The atoms, and what can be said of formulas for all units alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from baselines.compexp.formula import Formula, by_columns

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_EPSILON = 1e-10  # of the original code
_REMEMBERED = 2**29  # bytes of formulas that are remembered


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
        self._known: OrderedDict[Formula, Covered] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @cached_property
    def concept_areas(self) -> Ints:
        """Pixels of each label, (concepts,)."""
        return counted(self.areas @ self.holds)

    @property
    def remembered(self) -> int:
        """Bytes of what is remembered of formulas; never more than 512 MB."""
        return self._bytes

    def covered(self, formula: Formula) -> Covered:
        """Return what a formula covers."""
        with self._lock:
            known = self._known.get(formula)
            if known is not None:
                self._known.move_to_end(formula)
                return known
        rows = np.flatnonzero(formula.atoms(self.columns))
        part = self.holds[rows]
        areas = self.areas[rows]
        made = Covered(rows, part, counted(areas @ part), int(areas.sum()))
        with self._lock:
            if formula not in self._known:
                self._known[formula] = made
                self._bytes += made.size
            # What was not asked for longest goes first: single labels, which recur, stay.
            while self._bytes > _REMEMBERED:
                self._bytes -= self._known.popitem(last=False)[1].size
        return made


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

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        held = (self.holds.data, self.holds.indices, self.holds.indptr)
        return sum(array.nbytes for array in (self.rows, self.with_label, *held))


def iou(both: Ints, area: Ints | int, unit: int) -> Floats:
    """Return the IoU as the original code computes it, to the last bit."""
    ratio: Floats = both / (area + unit - both + _EPSILON)
    return ratio


def counted(sums: NDArray[np.float64]) -> Ints:
    """Return sums of pixels, which floating point holds exactly, as integers."""
    return np.rint(np.asarray(sums)).astype(np.int64)
