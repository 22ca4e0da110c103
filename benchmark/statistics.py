"""How sure a number is: bootstrap over neurons, paired tests between methods, effect sizes.

Everything is computed from sums over neurons, so drawing neurons is a product of two matrices: how
often each resample drew each neuron, times the statistics. Every method and metric meets the same
draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.metrics.base import Floats, Metric

RESAMPLES = 1000
ROUNDS = 9999  # of approximate randomization, so that p is at least 1 in 10,000
LEVEL = 0.95
_HELD = 4_000_000  # numbers held at once while resampling, to bound memory


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference.

    Attributes:
        p: Two-sided, by approximate randomization; see ``randomization``.
        effect: Mean of the neurons' own differences over their standard deviation (Cohen's d for
            paired samples); NaN where they do not vary.
        superiority: Share of neurons on which the first is better, ties counting one half.
    """

    p: float
    effect: float
    superiority: float


def bootstrap(
    metric: Metric,
    statistics: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
) -> Interval:
    """Return a metric's value and its percentile interval over neurons (Efron, 1979).

    Args:
        metric: Says how statistics add up.
        statistics: Shape (neurons, statistics), at least two neurons.
        resamples: Bootstrap resamples; at least 1000 for published numbers.
        seed: The same seed draws the same neurons for every method.
        strata: For each neuron its stratum, such as its model and layer: as many neurons are drawn
            from each as it has. Default all of one.
    """
    return interval(metric.aggregate, statistics, resamples, seed, strata)


def paired_difference(
    metric: Metric,
    first: Floats,
    second: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
    rounds: int = ROUNDS,
) -> Difference:
    """Return how much higher the first method scores than the second on the same neurons.

    The interval is a paired bootstrap: both methods are resampled together.
    """
    width = first.shape[1]

    def difference(sums: Floats) -> Floats:
        return metric.aggregate(sums[..., :width]) - metric.aggregate(sums[..., width:])

    both = np.concatenate([first, second], axis=1)
    found = interval(difference, both, resamples, seed, strata)
    gaps = metric.per_neuron(first) - metric.per_neuron(second)
    gaps = gaps[~np.isnan(gaps)]
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    return Difference(
        found.value,
        found.low,
        found.high,
        p=randomization(metric, first, second, rounds, seed),
        effect=float(gaps.mean()) / spread if spread > 0 else float("nan"),
        superiority=float(((gaps > 0) + 0.5 * (gaps == 0)).mean()) if len(gaps) else float("nan"),
    )


def randomization(
    metric: Metric, first: Floats, second: Floats, rounds: int = ROUNDS, seed: int = 0
) -> float:
    """Return the two-sided p-value of a difference, by approximate randomization.

    In each round the two methods' descriptions of each neuron are exchanged with probability one
    half, and the metric is computed anew (Noreen, 1989; for means over neurons this is the paired
    permutation test with random signs). p is the share of rounds, the one observed among them,
    with a difference at least as large.
    """
    rng = np.random.default_rng(seed)
    gap = second - first
    sums = first.sum(0), second.sum(0)
    observed = abs(float(metric.aggregate(sums[0]) - metric.aggregate(sums[1])))
    least = observed - 1e-12 * max(1.0, observed)
    as_large = 1
    for count in _parts(rounds, len(gap)):
        moved = rng.integers(0, 2, (count, len(gap)), dtype=np.int8).astype(np.float64) @ gap
        found = metric.aggregate(sums[0] + moved) - metric.aggregate(sums[1] - moved)
        as_large += int((np.abs(found) >= least).sum())
    return as_large / (rounds + 1)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several (Holm, 1979), in their order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(values, kind="stable")
    scaled = np.array(values, dtype=float)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return [round(float(value), 12) for value in adjusted]


def wilson(count: int, total: int) -> Interval:
    """Return a share with its 95 % score interval (Wilson, 1927).

    >>> found = wilson(10, 100)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0552, 0.1744)
    """
    found = stats.binomtest(count, total).proportion_ci(LEVEL, method="wilson")
    return Interval(count / total, float(found.low), float(found.high))


def over_trials(
    values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Return a mean over trials with Student's 95 % interval: what other trials would give.

    NaN bounds for a single trial.

    Args:
        values: One per trial.
        bounds: The least and the largest value there can be. The interval is cut there: with two
            trials it is wide, and a value beyond them cannot be the true one, so that cutting loses
            no coverage.

    >>> found = over_trials([1.0, 2.0, 3.0])
    >>> [round(value, 2) for value in (found.value, found.low, found.high)]
    [2.0, -0.48, 4.48]
    >>> over_trials([0.9, 0.7], (0, 1))
    Interval(value=0.8, low=0.0, high=1.0)
    """
    return over_trials_and_neurons(values, [0.0] * len(values), bounds)


def over_trials_and_neurons(
    values: Sequence[float],
    halves: Sequence[float],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return a mean over trials on the same neurons: what other trials on other neurons would give.

    Two errors add up: that of the neurons, which more trials do not reduce, and that of the trials.
    The half-width is the root of the sum of squares of both half-widths, the trials' Student's;
    this is how Howe (1974) combines the limits of two means.

    Args:
        values: One per trial; for a single trial only the neurons' error is known, and the bounds
            are NaN.
        halves: Half the width of each trial's 95 % interval over neurons.
        bounds: See ``over_trials``.
    """
    numbers = np.asarray(values, dtype=float)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Interval(mean, float("nan"), float("nan"))
    student = float(stats.t.ppf((1 + LEVEL) / 2, len(numbers) - 1) * stats.sem(numbers))
    half = math.hypot(student, float(np.sqrt(np.mean(np.square(halves)))))
    return Interval(mean, max(mean - half, float(bounds[0])), min(mean + half, float(bounds[1])))


def interval(
    aggregate: Callable[[Floats], Floats],
    statistics: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
) -> Interval:
    """Return any function of sums over neurons with its interval; see ``bootstrap``.

    Resamples in which the function has no value (NaN) are left out.
    """
    values = np.concatenate(
        [
            aggregate(counts @ statistics)
            for counts in _draws(len(statistics), resamples, seed, strata)
        ]
    )
    tail = (1 - LEVEL) / 2
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
    return Interval(float(aggregate(statistics.sum(0))), float(low), float(high))


def _draws(
    neurons: int, resamples: int, seed: int, strata: Sequence[str] | None
) -> Iterator[Floats]:
    """Yield how often each resample drew each neuron, shape (some resamples, neurons)."""
    rng = np.random.default_rng(seed)
    starts, sizes, order = _layout(neurons, strata)
    for count in _parts(resamples, neurons):
        counts = np.empty((count, neurons))
        for row in counts:
            drawn = (rng.random(neurons, dtype=np.float32) * sizes).astype(np.int64)
            # A number just below 1 may be rounded up to it.
            drawn = np.minimum(drawn, sizes - 1) + starts
            row[order] = np.bincount(drawn, minlength=neurons)
        yield counts


def _layout(
    neurons: int, strata: Sequence[str] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return each place's first place and size of its stratum, and the neurons' order of places."""
    if strata is None:
        whole = np.full(neurons, neurons)
        return np.zeros(neurons, dtype=np.int64), whole, np.arange(neurons)
    if len(strata) != neurons:
        raise ValueError(f"{len(strata)} strata for {neurons} neurons")
    _, number, sizes = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return begins[number[order]], sizes[number[order]], order


def _parts(total: int, width: int) -> list[int]:
    """Cut a number of rows into parts that fit in memory."""
    most = max(1, _HELD // max(1, width))
    return [min(most, total - start) for start in range(0, total, most)]
