"""Tests of significance: whether methods differ by more than chance.

Two procedures serve two questions; docs/metrics.md ("Tests of significance") says which is used
where, and why:

- *Paired tests* (``paired_difference``) compare methods that were chosen beforehand, with ``holm``
  where there are several comparisons.
- *Ranks* (``rank_intervals``) order the rows of a board by intervals, so that nobody's rank depends
  on rows below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from benchmark.intervals import COVERAGE, RESAMPLES, Interval, batches, interval
from benchmark.metrics.base import Floats, Metric

ALPHA = 0.05  # significance level of every test
ROUNDS = 9999  # of approximate randomization; the smallest p-value is 1 in 10,000
_ROUNDING = 1e-9  # relative difference of values that were computed in different orders


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference.

    Attributes:
        p: Two-sided p-value by approximate randomization; see ``randomization``.
        effect: Mean of the neurons' own differences over their standard deviation (Cohen's d for
            paired samples); NaN if they do not vary.
        superiority: Share of neurons on which the first is better, ties counting one half.
    """

    p: float
    effect: float
    superiority: float


def paired_difference(
    metric: Metric,
    first: Floats,
    second: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
    rounds: int = ROUNDS,
) -> Difference:
    """Return the difference of two methods' scores on the same neurons, first minus second.

    The interval is a paired bootstrap: both methods are resampled together.

    Args:
        metric: Determines how statistics are aggregated.
        first: Statistics of the first method, shape (neurons, statistics).
        second: Those of the second.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the randomization.
        strata: See ``benchmark.intervals.bootstrap``.
        rounds: Rounds of the randomization.
    """
    width = first.shape[1]

    def difference(sums: Floats) -> Floats:
        return metric.aggregate(sums[..., :width]) - metric.aggregate(sums[..., width:])

    both = np.concatenate([first, second], axis=1)
    ends = interval(difference, both, resamples, seed, strata)
    gaps = metric.per_neuron(first) - metric.per_neuron(second)
    gaps = gaps[~np.isnan(gaps)]
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    return Difference(
        ends.value,
        ends.low,
        ends.high,
        p=randomization(metric, first, second, rounds, seed),
        effect=float(gaps.mean()) / spread if spread > 0 else float("nan"),
        superiority=float(((gaps > 0) + 0.5 * (gaps == 0)).mean()) if len(gaps) else float("nan"),
    )


def randomization(
    metric: Metric, first: Floats, second: Floats, rounds: int = ROUNDS, seed: int = 0
) -> float:
    """Return the two-sided p-value of a difference, by approximate randomization.

    In each round the two methods' descriptions of each neuron are exchanged with probability one
    half, and the metric is recomputed (Noreen, 1989; for means over neurons this is the paired
    permutation test with random signs). p is the share of rounds, including the observed one, whose
    difference is at least as large as the observed one.
    """
    rng = np.random.default_rng(seed)
    gap = second - first
    sums = first.sum(0), second.sum(0)
    observed = abs(float(metric.aggregate(sums[0]) - metric.aggregate(sums[1])))
    least = observed - 1e-12 * max(1.0, observed)
    as_large = 1
    for count in batches(rounds, len(gap)):
        moved = rng.integers(0, 2, (count, len(gap)), dtype=np.int8).astype(np.float64) @ gap
        gaps = metric.aggregate(sums[0] + moved) - metric.aggregate(sums[1] - moved)
        as_large += int((np.abs(gaps) >= least).sum())
    return as_large / (rounds + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple comparisons (Holm, 1979), in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    scaled = np.array(values, dtype=float)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return [round(float(value), 12) for value in adjusted]


@dataclass(frozen=True)
class Ranking:
    """Ranks of methods.

    Attributes:
        ranks: One per method: one plus the number of methods that are clearly better; None for a
            method whose interval includes chance.
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
    *m*. The second condition keeps ranks in the order of the values: without it, a method with a
    wide interval could rank above one with a higher value and a narrow interval.

    Whether two intervals overlap does not depend on other methods, so another row changes the rank
    of *m* only if its own value is higher. If two methods are equal, the probability that the
    interval of one lies above that of the other is at most the probability that one of the two
    intervals misses the truth, whatever their correlation and spreads.

    Args:
        values: One per method.
        low: Lower ends of the intervals.
        high: Upper ends.
        chance: The value of a method that knows nothing; None if it is unknown. A method whose
            interval includes it has no rank and does not change the rank of a method above it.

    >>> rank_intervals([0.9, 0.8, 0.6, 0.5], [0.8, 0.7, 0.55, 0.4], [1, 0.9, 0.65, 0.6], 0.5).ranks
    [1, 1, 3, None]
    """
    value, lower, upper = (np.asarray(column, dtype=float) for column in (values, low, high))
    if not len(value):
        return Ranking([], np.zeros((0, 0), dtype=bool))
    at_chance = np.zeros(len(value), dtype=bool)
    if chance is not None:
        at_chance = (lower <= chance) & (chance <= upper)
    # Values that differ by rounding only count as equal.
    slack = _ROUNDING * max(1.0, float(np.abs(value).max()))
    order = np.argsort(-value, kind="stable")
    lowest = np.minimum.accumulate(np.append(np.inf, np.where(at_chance, np.inf, upper)[order]))
    higher = np.searchsorted(-value[order], -value - slack, side="left")  # how many methods
    limit = np.minimum(lowest[higher], upper)
    better = lower[:, None] >= limit[None, :] - slack
    better &= value[:, None] > value[None, :] + slack
    ahead = better.sum(axis=0)
    ranks = [None if at else 1 + int(n) for n, at in zip(ahead, at_chance, strict=True)]
    return Ranking(ranks, better)


def rank(values: Floats, chance: float | None = None, coverage: float = COVERAGE) -> Ranking:
    """Rank methods by the mean of a value per neuron, higher being better.

    Args:
        values: Shape (methods, neurons). NaN where a method has no value: each method's mean and
            interval (Student's t) are over its own neurons.
        chance: See ``rank_intervals``.
        coverage: Of the intervals.
    """
    has_value = ~np.isnan(values)
    n = has_value.sum(axis=1)
    mean = np.where(has_value, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(has_value, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    freedom = np.maximum(n - 1, 1)
    half = stats.t.ppf((1 + coverage) / 2, freedom) * np.sqrt(squares / freedom / np.maximum(n, 1))
    half = np.where(n > 1, half, np.inf)  # a single neuron does not show the spread
    return rank_intervals(mean, mean - half, mean + half, chance)
