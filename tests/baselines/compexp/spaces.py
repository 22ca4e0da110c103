"""Small random atoms, and slow counting over pixels, for tests of the searches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.compexp.beam import Space
from baselines.compexp.formula import Formula

Masks = NDArray[np.bool_]


class Pixels:
    """Labels and units pixel by pixel, from which atoms are made.

    Concept 0 never occurs, and unit 0 is dead.
    """

    def __init__(self, seed: int, concepts: int = 5, pixels: int = 300, units: int = 4) -> None:
        rng = np.random.default_rng(seed)
        self.labels: Masks = rng.random((concepts, pixels)) < rng.uniform(0.05, 0.5, (concepts, 1))
        self.labels[0] = False
        noise = rng.random((units, pixels)) < 0.1
        picks = rng.integers(1, concepts, (units, 2))
        self.units: Masks = (self.labels[picks[:, 0]] & ~self.labels[picks[:, 1]]) ^ noise
        self.units[0] = False
        keys, group = np.unique(self.labels.T, axis=0, return_inverse=True)
        group = group.ravel()
        self.space = Space(csr_array(keys.astype(float)), np.bincount(group))
        self.counts = csr_array(
            np.array([np.bincount(group, unit, len(keys)) for unit in self.units]).astype(np.int64)
        )

    def mask(self, formula: Formula) -> Masks:
        if formula.first is None:
            return np.zeros(self.labels.shape[1], dtype=bool)
        found = self.labels[formula.first].copy()
        for operator, label in formula.rest:
            right = self.labels[label]
            found = (found | right, found & right, found & ~right)[operator]
        return found

    def iou(self, formula: Formula, unit: int) -> float:
        mask, active = self.mask(formula), self.units[unit]
        both = int((mask & active).sum())
        return both / (int(mask.sum()) + int(active.sum()) - both + 1e-10)

    def formulas(self, length: int) -> Iterator[Formula]:
        """Every left-deep formula of up to that length."""
        concepts = len(self.labels)
        level = [Formula(c) for c in range(concepts)]
        yield from level
        for _ in range(length - 1):
            level = [f.joined(o, c) for f in level for c in range(concepts) for o in range(3)]
            yield from level
