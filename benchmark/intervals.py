"""Intervals: how precisely a number is known.

The bootstrap is computed from sums over neurons, so drawing neurons is a product of two matrices:
how often each resample drew each neuron, times the statistics. All methods and metrics share the
same draws. Tests of differences are in ``benchmark.significance``.
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
COVERAGE = 0.95  # of every interval
_MAX_NUMBERS = 4_000_000  # held at once while resampling, to bound memory


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


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
        strata: For each neuron its stratum, such as its model and layer; each resample has as many
            neurons of a stratum as the data. Default a single stratum.
    """
    return interval(metric.aggregate, statistics, resamples, seed, strata)


def wilson(count: int, total: int) -> Interval:
    """Return a share with its 95 % score interval (Wilson, 1927).

    >>> interval = wilson(10, 100)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0552, 0.1744)
    """
    ends = stats.binomtest(count, total).proportion_ci(COVERAGE, method="wilson")
    return Interval(count / total, float(ends.low), float(ends.high))


def over_trials(
    values: Sequence[float], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Interval:
    """Return a mean over trials with Student's 95 % interval, which covers what other trials give.

    The bounds of the interval are NaN for a single trial.

    Args:
        values: One per trial.
        bounds: The least and the greatest possible value. The interval is cut at them: with two
            trials it is wide, and the true value cannot lie beyond, so cutting loses no coverage.

    >>> interval = over_trials([1.0, 2.0, 3.0])
    >>> [round(value, 2) for value in (interval.value, interval.low, interval.high)]
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
    """Return a mean over trials on the same neurons, with an interval over trials and neurons.

    Two errors add up: that of the neurons, which more trials do not reduce, and that of the trials.
    The half-width is the root of the sum of squares of the half-width over neurons and Student's
    over trials, as Howe (1974) combines the limits of two means.

    Args:
        values: One per trial. For a single trial only the neurons' error is known, and the bounds
            of the interval are NaN.
        halves: Half the width of each trial's 95 % interval over neurons.
        bounds: See ``over_trials``.
    """
    numbers = np.asarray(values, dtype=float)
    mean = float(numbers.mean())
    if len(numbers) < 2:
        return Interval(mean, float("nan"), float("nan"))
    student = float(stats.t.ppf((1 + COVERAGE) / 2, len(numbers) - 1) * stats.sem(numbers))
    half = math.hypot(student, float(np.sqrt(np.mean(np.square(halves)))))
    return Interval(mean, max(mean - half, float(bounds[0])), min(mean + half, float(bounds[1])))


def interval(
    aggregate: Callable[[Floats], Floats],
    statistics: Floats,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
) -> Interval:
    """Return the interval of any function of sums over neurons; see ``bootstrap``.

    Resamples for which the function is undefined (NaN) are left out.
    """
    values = np.concatenate(
        [
            aggregate(counts @ statistics)
            for counts in _draws(len(statistics), resamples, seed, strata)
        ]
    )
    tail = (1 - COVERAGE) / 2
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, [tail, 1 - tail]) if len(values) else (np.nan, np.nan)
    return Interval(float(aggregate(statistics.sum(0))), float(low), float(high))


def _draws(
    neurons: int, resamples: int, seed: int, strata: Sequence[str] | None
) -> Iterator[Floats]:
    """Yield how often each resample drew each neuron, shape (some resamples, neurons)."""
    rng = np.random.default_rng(seed)
    starts, sizes, order = _layout(neurons, strata)
    for count in batches(resamples, neurons):
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
    """Return, for neurons sorted by stratum, where each one's stratum starts and its size.

    Returns:
        Starts and sizes, shape (neurons,), and the order that sorts the neurons.
    """
    if strata is None:
        whole = np.full(neurons, neurons)
        return np.zeros(neurons, dtype=np.int64), whole, np.arange(neurons)
    if len(strata) != neurons:
        raise ValueError(f"{len(strata)} strata for {neurons} neurons")
    _, number, sizes = np.unique(np.asarray(strata), return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return begins[number[order]], sizes[number[order]], order


def batches(total: int, width: int) -> list[int]:
    """Split a number of rows of this width into batches that fit in memory."""
    size = max(1, _MAX_NUMBERS // max(1, width))
    return [min(size, total - start) for start in range(0, total, size)]
