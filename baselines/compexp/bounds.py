"""Weights of atoms for an IoU to beat, and upper bounds of their sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from baselines.compexp.space import Ints


class Weights:
    """Weights such that a formula F is better than the best so far if and only if W(F) > goal.

    ``baselines.compexp.optimal`` derives them.

    Args:
        holds: ``Partition.holds``, int64.
        row: Activated pixels of the unit in each atom, (atoms,).
        areas: Pixels of each atom, (atoms,).
        both: |F and U| of the formula to beat.
        union: |F or U| of the same formula.
        positive: Labels of at least one activated pixel.

    Attributes:
        goal: W of a better formula exceeds it.
        atoms: The weights, (atoms,).
        sums: W of each label, (concepts,).
        ups: W+ of each label, the sum of its positive weights, (concepts,).
    """

    def __init__(
        self,
        holds: csr_array,
        row: Ints,
        areas: Ints,
        both: int,
        union: int,
        positive: NDArray[np.intp],
    ) -> None:
        unit = int(row.sum())
        self._holds = holds
        self._whole = union * unit
        self.goal = both * unit
        self.atoms: Ints = union * row - both * (areas - row)
        self.sums: Ints = self.atoms @ holds
        self.ups: Ints = self.atoms.clip(min=0) @ holds
        self._most = int(self.sums[positive].max())
        self._most_up = int(self.ups[positive].max())
        self._most_down = int((self.ups - self.sums).max())
        self._pair_rows: dict[int, Ints] = {}

    def pairs(self, labels: Ints) -> Ints:
        """Return W(B and C) for some labels B and every label C, (labels, concepts)."""
        missing = [int(b) for b in labels if int(b) not in self._pair_rows]
        if missing:
            columns = self._holds[:, missing]
            rows = (columns.multiply(self.atoms[:, None]).T.tocsr() @ self._holds).toarray()
            self._pair_rows |= dict(zip(missing, rows, strict=True))
        return np.stack([self._pair_rows[int(b)] for b in labels])

    def bound(self, sums: Ints, ups: Ints, more: int) -> Ints:
        """Return upper bounds of W for formulas that are extended by up to ``more`` labels.

        Args:
            sums: W of the formulas.
            ups: W+ of the formulas.
            more: How many labels may be added.
        """
        if more == 0:
            return sums
        joined_or = np.minimum(sums + self._most_up, ups + self._most)
        joined_and = np.minimum(ups, self._most_up)
        joined_not = np.minimum(ups, sums + self._most_down)
        return np.maximum.reduce(
            [
                sums,
                self.bound(joined_or, ups + self._most_up, more - 1),
                self.bound(joined_and, joined_and, more - 1),
                self.bound(joined_not, ups, more - 1),
            ]
        )

    def as_iou(self, bound: int) -> float:
        """Return the greatest IoU of a formula with W <= bound, for a bound above the goal."""
        # |F and U| <= bound / q + (p / q) |F - U|: the ratio to |U| + |F - U| is greatest where
        # F - U is empty.
        return min(1.0, bound / self._whole)


@dataclass(frozen=True)
class WeighedPrefix:
    """The atoms of a prefix, with their weights.

    Attributes:
        columns: Which labels each atom has, (atoms, concepts), by columns.
        weighted: The same, with the atoms' weights in place of ones.
        whole: W of the prefix.
        whole_up: W+ of the prefix.
        sums: W(prefix and C) of each label C, (concepts,).
        ups: W+(prefix and C) of each label C, (concepts,).
        overlap: Pixels of (prefix and C) for each label C, (concepts,).
    """

    columns: csc_array
    weighted: csr_array
    whole: int
    whole_up: int
    sums: Ints
    ups: Ints
    overlap: Ints

    @classmethod
    def of(cls, holds: csr_array, weights: Ints, areas: Ints) -> WeighedPrefix:
        """Weigh the atoms of a prefix.

        Args:
            holds: Their rows of ``Partition.holds``, int64.
            weights: Their weights, (atoms,).
            areas: Their pixels, (atoms,).
        """
        up = weights.clip(min=0)
        times = np.repeat(weights, np.diff(holds.indptr))
        return cls(
            csc_array(holds),
            csr_array((times, holds.indices, holds.indptr), shape=holds.shape),
            int(weights.sum()),
            int(up.sum()),
            weights @ holds,
            up @ holds,
            areas @ holds,
        )
