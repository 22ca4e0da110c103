"""The best constant: the string that scores highest when every neuron is described by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.metrics.base import Metric, References

# Of each round: the neurons that candidates are scored on, and the candidates that remain.
ROUNDS = ((60, 300), (600, 12))
_BATCH = 2000  # candidates that are scored at once


class BestConstant(NamedTuple):
    """A constant, its score, and the number of candidates."""

    text: str
    value: float
    tried: int


def best_constant(
    metric: Metric,
    references: References,
    candidates: Sequence[str],
    seed: int = 0,
) -> BestConstant:
    """Search for the constant with the highest score against known references.

    All candidates are scored on a sample of the neurons and one fold, the best of them on a larger
    sample, and the best of these on all neurons and folds (successive halving). The winner's score
    is exact, but another candidate might score higher.

    Args:
        metric: The metric.
        references: The references.
        candidates: The strings to try; of equally good ones the first wins.
        seed: Seed of the samples.

    Raises:
        ValueError: If there are no candidates.

    >>> from benchmark.metrics.content import ContentOverlap
    >>> references = References.of([["a dog"], ["red dogs"], ["wheels"]])
    >>> best_constant(ContentOverlap(), references, ["wheels", "dogs", "sky"]).text
    'dogs'
    """
    if not candidates:
        raise ValueError("no constants to try")
    rng = np.random.default_rng(seed)
    left = list(candidates)
    for size, keep in ROUNDS:
        if len(left) <= keep:
            continue
        sample = references.subset(
            sorted(rng.permutation(references.neurons)[:size].tolist()), folds=1
        )
        order = np.argsort(-_values(metric, sample, left), kind="stable")
        left = [left[i] for i in order[:keep]]
    values = _values(metric, references, left)
    winner = int(np.argmax(values))
    return BestConstant(left[winner], float(values[winner]), len(candidates))


def _values(metric: Metric, references: References, texts: Sequence[str]) -> np.ndarray:
    values: list[float] = []
    sign = 1 if metric.info.higher_is_better else -1
    for start in range(0, len(texts), _BATCH):
        predictions = {
            text: [[text] * references.neurons] * len(references.folds)
            for text in texts[start : start + _BATCH]
        }
        statistics = metric.statistics(references, predictions)
        values += [float(metric.aggregate(statistics[text].sum(0))) for text in predictions]
    return np.nan_to_num(sign * np.array(values), nan=-np.inf)
