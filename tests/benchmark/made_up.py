"""Made-up references and descriptions for tests of metrics."""

from __future__ import annotations

import random

from benchmark.metrics.base import MeanMetric, PredictionsByFold, References
from benchmark.references import leave_one_out
from benchmark.result import MetricInfo

WORDS = [
    "red", "green", "dog", "cat", "wheel", "face", "edge", "of", "the", "small", "round",
    "striped", "objects", "things", "sky",
]  # fmt: skip


def texts(count: int, seed: int) -> list[str]:
    """Return random sentences of one to nine words."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(count)]


def made_up_references(
    neurons: int = 40, layers: int = 2, seed: int = 0, most: int = 5
) -> References:
    """References in varying numbers, from two to five."""
    rng = random.Random(seed)
    annotations = [texts(rng.randint(2, most), seed * 1000 + i) for i in range(neurons)]
    return References(leave_one_out(annotations), [f"layer{i % layers}" for i in range(neurons)])


def same(of: References, said: list[str]) -> PredictionsByFold:
    """Return the same descriptions in every fold."""
    return [said] * len(of.folds)


class Mean(MeanMetric):
    """A metric of which only the aggregation is used."""

    name = "mean"
    info = MetricInfo(title="Mean")
    signature = "mean"

    def statistics(self, references, predictions):
        """Return nothing."""
        return {}
