"""Ranks that mean something: methods that cannot be told apart share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.base import Floats

LEVEL = 0.05
ROUNDS = 9999
_HELD = 4_000_000  # numbers held at once


@dataclass(frozen=True)
class Ranking:
    """Ranks of methods.

    Attributes:
        ranks: One per method: one more than how many methods are significantly better.
        adjusted: p-values of all pairs, shape (methods, methods), adjusted for being many.
    """

    ranks: list[int]
    adjusted: Floats


def rank(values: Floats, seed: int = 0, rounds: int = ROUNDS, level: float = LEVEL) -> Ranking:
    """Rank methods by the mean of a value per neuron, higher being better.

    Each pair is compared by its studentized mean difference. In each round the sign of every
    neuron's differences is turned with probability one half, for all pairs at once (Noreen, 1989);
    a pair's adjusted p is the share of rounds in which the largest of all pairs' statistics is at
    least its own, which holds the chance of even one wrong "better" on the whole board at the level
    (maxT; Westfall & Young, 1993). For two methods this is the paired permutation test.

    Args:
        values: Shape (methods, neurons), NaN where any method has none: such neurons are left out.
        seed: Of the signs.
        rounds: How many.
        level: Of significance.
    """
    count = len(values)
    kept = values[:, ~np.isnan(values).any(axis=0)]
    n = kept.shape[1]
    adjusted = np.ones((count, count))
    if count < 2 or n < 2:
        return Ranking([1] * count, adjusted)
    first, second = np.triu_indices(count, 1)
    # The statistic of sums of differences d with signs s is Σ s d / sqrt(Σ d²): its denominator
    # does not depend on the signs, and its numerator is a difference of two methods' own sums.
    gram = kept @ kept.T
    squares = np.diag(gram)
    size = np.sqrt(np.maximum(squares[first] + squares[second] - 2 * gram[first, second], 0.0))
    size[size <= 1e-9 * np.sqrt(n)] = np.inf  # the same values: nothing tells them apart
    sums = kept.sum(axis=1)
    observed = np.abs(sums[first] - sums[second]) / size
    largest = np.empty(rounds)
    rng = np.random.default_rng(seed)
    step = max(1, min(_HELD // n, _HELD // max(1, len(first))))
    for start in range(0, rounds, step):
        signs = rng.integers(0, 2, (min(step, rounds - start), n), dtype=np.int8) * 2.0 - 1.0
        turned = signs @ kept.T
        found = np.abs(turned[:, first] - turned[:, second]) / size
        largest[start : start + len(signs)] = found.max(axis=1)
    largest.sort()
    as_large = rounds - np.searchsorted(largest, observed * (1 - 1e-12), side="left")
    p: NDArray[np.float64] = (as_large + 1) / (rounds + 1)
    adjusted[first, second] = adjusted[second, first] = p
    better = (adjusted < level) & (sums[:, None] > sums[None, :])  # [i, j]: i is better than j
    return Ranking([1 + int(found) for found in better.sum(axis=0)], adjusted)


def is_mean(values: Sequence[float] | Floats, whole: float) -> bool:
    """Say whether a metric's value is the mean of its neurons' own, as ``rank`` takes it to be."""
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return False
    with np.errstate(over="ignore"):
        return abs(float(kept.mean()) - whole) <= 1e-6 * max(1.0, abs(whole))
