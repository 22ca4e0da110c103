"""Pixels grouped by their labels: the *atoms* of a labelled data set.

Pixels with the same labels satisfy the same formulas. A formula over concepts is therefore a set of
atoms, and every count that a score needs is a sum over atoms, exactly equal to the count of pixels.
A data set has orders of magnitude fewer atoms than pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from baselines.concepts.labelled_images import VisualConcept


@dataclass(frozen=True)
class Partition:
    """The atoms of a labelled data set.

    >>> from baselines.concepts.labelled_images import VisualConcept
    >>> river = VisualConcept("river", "object", 1)
    >>> membership = csr_array(np.array([[1], [0]], dtype=np.uint8))
    >>> Partition((river,), ("object",), membership, np.array([5, 3])).concept_areas.tolist()
    [5]

    Attributes:
        concepts: The concepts.
        categories: Their categories.
        membership: Number of labels of a concept at each pixel of an atom, uint8 (atoms, concepts).
            Mostly 0 or 1; more where several channels repeat a label.
        areas: Pixels of each atom in all images, int64 (atoms,).
    """

    concepts: tuple[VisualConcept, ...]
    categories: tuple[str, ...]
    membership: csr_array
    areas: NDArray[np.int64]

    @cached_property
    def holds(self) -> csr_array:
        """Whether the pixels of an atom have a label: 1 or 0, float64 (atoms, concepts)."""
        times = self.membership
        return csr_array((np.ones(times.nnz), times.indices, times.indptr), shape=times.shape)

    @cached_property
    def concept_areas(self) -> NDArray[np.int64]:
        """Pixels of each label in all images, (concepts,)."""
        # Sums stay below 2**53, so they are exact in floating point.
        return np.rint(self.holds.T @ self.areas.astype(np.float64)).astype(np.int64)

    @cached_property
    def category_of(self) -> NDArray[np.int64]:
        """Position in ``categories`` of the primary category of each concept, (concepts,)."""
        position = {name: i for i, name in enumerate(self.categories)}
        return np.array([position[c.category] for c in self.concepts], dtype=np.int64)

    @cached_property
    def atom_categories(self) -> NDArray[np.bool_]:
        """Whether the pixels of an atom have a label of a category, (atoms, categories)."""
        shape = (len(self.concepts), len(self.categories))
        one_hot = np.zeros(shape)
        one_hot[np.arange(shape[0]), self.category_of] = 1
        return np.asarray(self.holds @ one_hot > 0)
