"""Pixels grouped by what they are labelled as: the *atoms* of a labelled data set.

Two pixels with the same labels are in the same formulas, so a formula over concepts is a set of
atoms, and each count that a score needs is a sum over atoms: exactly what counting pixels would
give. A data set has orders of magnitude fewer atoms than pixels.
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

    Attributes:
        concepts: What can be labelled.
        categories: Their categories.
        membership: Shape (atoms, concepts), unsigned 8 bits: how many labels of the concept a
            pixel of the atom has, as several channels may repeat one. Mostly 0 or 1.
        areas: Shape (atoms,), int64: pixels of the atom, over all images.
    """

    concepts: tuple[VisualConcept, ...]
    categories: tuple[str, ...]
    membership: csr_array
    areas: NDArray[np.int64]

    @cached_property
    def holds(self) -> csr_array:
        """Shape (atoms, concepts), float64: 1 where an atom's pixels have the label, else 0."""
        kept = self.membership
        return csr_array((np.ones(kept.nnz), kept.indices, kept.indptr), shape=kept.shape)

    @cached_property
    def concept_areas(self) -> NDArray[np.int64]:
        """Shape (concepts,): pixels that have the label, over all images."""
        # Sums stay below 2**53, so floating point is exact.
        return np.rint(self.holds.T @ self.areas.astype(np.float64)).astype(np.int64)

    @cached_property
    def category_of(self) -> NDArray[np.int64]:
        """Shape (concepts,): position in ``categories`` of each concept's primary category."""
        position = {name: i for i, name in enumerate(self.categories)}
        return np.array([position[c.category] for c in self.concepts], dtype=np.int64)

    @cached_property
    def atom_categories(self) -> NDArray[np.bool_]:
        """Shape (atoms, categories): whether an atom's pixels have a label of the category."""
        shape = (len(self.concepts), len(self.categories))
        one_hot = np.zeros(shape)
        one_hot[np.arange(shape[0]), self.category_of] = 1
        return np.asarray(self.holds @ one_hot > 0)
