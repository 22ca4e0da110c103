"""Ranks from intervals: a row ranks below those whose whole interval lies above its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from benchmark.metrics.base import Floats
from benchmark.statistics import LEVEL as COVERAGE

LEVEL = 0.05  # of the paired test of two rows
_ROUNDING = 1e-9  # of values that were computed in different orders


@dataclass(frozen=True)
class Ranking:
    """Ranks of methods.

    Attributes:
        ranks: One per method: one more than how many methods are clearly better; None for a
            method whose interval holds chance.
        better: Shape (methods, methods): whether the first is clearly better than the second.
    """

    ranks: list[int | None]
    better: NDArray[np.bool_]


def rank_intervals(
    values: ArrayLike, low: ArrayLike, high: ArrayLike, chance: float | None = None
) -> Ranking:
    """Rank methods by their values and the intervals around them, higher being better.

    Method *j* is *clearly better* than method *m* if its value is higher and its interval lies
    wholly above that of *m*, or above that of a third method whose value is higher than that of
    *m*. The second half keeps ranks in the order of the values: without it a method with a wide
    interval could stand above one with a higher value and a narrow interval.

    Whether two methods' intervals overlap does not depend on which others there are. So another
    row changes the rank of *m* only if its own value is higher. If two methods are equal, the
    chance that one's interval lies above the other's is at most the chance that one of the two
    intervals misses the truth, whatever the correlation of the two and their spreads.

    Args:
        values: One per method.
        low: Lower ends of the intervals.
        high: Upper ends.
        chance: The value of a method that knows nothing; None if it is not known. Methods whose
            interval holds it have no rank and change no rank of a method that lies above it.
    """
    value, lower, upper = (np.asarray(column, dtype=float) for column in (values, low, high))
    if not len(value):
        return Ranking([], np.zeros((0, 0), dtype=bool))
    at_chance = np.zeros(len(value), dtype=bool)
    if chance is not None:
        at_chance = (lower <= chance) & (chance <= upper)
    # Values are equal if they differ by rounding only.
    slack = _ROUNDING * max(1.0, float(np.abs(value).max()))
    order = np.argsort(-value, kind="stable")
    lowest = np.minimum.accumulate(np.append(np.inf, np.where(at_chance, np.inf, upper)[order]))
    higher = np.searchsorted(-value[order], -value - slack, side="left")  # how many there are
    limit = np.minimum(lowest[higher], upper)
    better = lower[:, None] >= limit[None, :] - slack
    better &= value[:, None] > value[None, :] + slack
    ahead = better.sum(axis=0)
    ranks = [None if at else 1 + int(n) for n, at in zip(ahead, at_chance, strict=True)]
    return Ranking(ranks, better)


def rank(values: Floats, chance: float | None = None, level: float = COVERAGE) -> Ranking:
    """Rank methods by the mean of a value per neuron, higher being better.

    Args:
        values: Shape (methods, neurons). NaN where a method has no value: each method's mean and
            interval (Student's t) are over its own neurons.
        chance: See ``rank_intervals``.
        level: Coverage of the intervals.
    """
    has_value = ~np.isnan(values)
    n = has_value.sum(axis=1)
    mean = np.where(has_value, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(has_value, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    freedom = np.maximum(n - 1, 1)
    half = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(squares / freedom / np.maximum(n, 1))
    half = np.where(n > 1, half, np.inf)  # one neuron says nothing of the spread
    return rank_intervals(mean, mean - half, mean + half, chance)
