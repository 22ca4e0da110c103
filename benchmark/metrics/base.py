"""What every metric is: statistics per neuron, and a way to add them up.

The two are kept apart so that a bootstrap over neurons only re-sums (as sacrebleu does).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.references import Fold
from benchmark.result import Metric as MetricFacts

Floats = NDArray[np.float64]
Predictions = Sequence[Sequence[str]]  # one list of normalized descriptions per fold


@dataclass(frozen=True)
class Problem:
    """What is to be described, without the descriptions.

    Attributes:
        folds: Held-out references; see ``benchmark.references``.
        groups: For each neuron the layer it belongs to; neurons of one layer are told apart
            from one another.
    """

    folds: Sequence[Fold]
    groups: Sequence[str]

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return len(self.groups)


class Metric(ABC):
    """A metric; subclasses say what they are in ``name`` and ``facts``."""

    name: str
    facts: MetricFacts

    @property
    @abstractmethod
    def signature(self) -> str:
        """Name, version and settings; equal signatures mean comparable numbers."""

    @abstractmethod
    def statistics(self, problem: Problem, methods: Mapping[str, Predictions]) -> dict[str, Floats]:
        """Return each method's statistics, shape (neurons, statistics), summed over folds.

        All methods come at once so that a sentence they share is encoded once.
        """

    @abstractmethod
    def aggregate(self, sums: Floats) -> Floats:
        """Turn sums over neurons, shape (..., statistics), into values of shape (...)."""

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return each neuron's own value, shape (neurons,); NaN where it has none."""
        return self.aggregate(statistics)


class MeanMetric(Metric):
    """A metric that is the mean of a value per neuron and fold: statistics are (sum, count)."""

    def aggregate(self, sums: Floats) -> Floats:
        """Return sum / count; NaN where nothing was counted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., 0] / sums[..., 1]
