"""The best constant: the one string that scores highest when it is said of every neuron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.metrics.base import Metric, References

# Neurons that candidates are compared on, and how many go on to the next round.
ROUNDS = ((60, 300), (600, 12))
_AT_ONCE = 2000  # candidates


class BestConstant(NamedTuple):
    """A constant, its score, and how many were tried."""

    text: str
    value: float
    tried: int


def best_constant(
    metric: Metric,
    references: References,
    candidates: Sequence[str],
    seed: int = 0,
) -> BestConstant:
    """Search for the constant with the highest score, knowing the references.

    All candidates are scored on a sample of the neurons and one fold, the best of them on a larger
    sample, the best of these on everything (successive halving). The winner's score is exact; that
    no other scores higher is not certain.

    Args:
        metric: What is to be won.
        references: The references.
        candidates: The strings to try; of equals the first wins.
        seed: Of the samples.

    Raises:
        ValueError: If there are no candidates.
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
    values = []
    sign = 1 if metric.info.higher_is_better else -1
    for start in range(0, len(texts), _AT_ONCE):
        some = texts[start : start + _AT_ONCE]
        found = metric.statistics(
            references,
            {
                str(i): [[text] * references.neurons] * len(references.folds)
                for i, text in enumerate(some)
            },
        )
        values += [float(metric.aggregate(found[str(i)].sum(0))) for i in range(len(some))]
    return np.nan_to_num(sign * np.array(values), nan=-np.inf)
