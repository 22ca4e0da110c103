"""How sure a number is: bootstrap over neurons, and paired differences between methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmark.metrics.base import Floats, Metric

RESAMPLES = 1000
LEVEL = 0.95
_BATCH_VALUES = 20_000_000  # numbers held at once while resampling, to bound memory


@dataclass(frozen=True)
class Interval:
    """A value with the bounds of its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference; ``p`` is two-sided, by random sign flips of per-neuron differences."""

    p: float


def bootstrap(
    metric: Metric, statistics: Floats, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return a metric's value and interval over neurons.

    Args:
        metric: Says how statistics add up.
        statistics: Shape (neurons, statistics), at least two neurons.
        resamples: Bootstrap resamples; at least 1000 for published numbers.
        seed: The same seed draws the same neurons for every method.
    """
    return _resample(metric.aggregate, statistics, resamples, seed)


def paired_difference(
    metric: Metric, first: Floats, second: Floats, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return how much higher the first method scores than the second on the same neurons.

    The interval is a paired bootstrap: both methods are resampled together. The p-value is that
    of a paired permutation test on the neurons' own values.
    """
    width = first.shape[1]

    def difference(sums: Floats) -> Floats:
        return metric.aggregate(sums[..., :width]) - metric.aggregate(sums[..., width:])

    both = np.concatenate([first, second], axis=1)
    interval = _resample(difference, both, resamples, seed)
    gaps = metric.per_neuron(first) - metric.per_neuron(second)
    gaps = gaps[~np.isnan(gaps)]
    test = stats.permutation_test(
        (gaps,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=max(1, _BATCH_VALUES // max(1, len(gaps))),
        rng=np.random.default_rng(seed),
    )
    return Difference(interval.value, interval.low, interval.high, float(test.pvalue))


def _resample(
    aggregate: Callable[[Floats], Floats], statistics: Floats, resamples: int, seed: int
) -> Interval:
    neurons, width = statistics.shape
    value = float(aggregate(statistics.sum(0)))

    def statistic(index: NDArray[np.int64], axis: int) -> Floats:
        assert axis in (-1, index.ndim - 1)
        return aggregate(statistics[index].sum(axis=-2))

    result = stats.bootstrap(
        (np.arange(neurons),),
        statistic,
        n_resamples=resamples,
        batch=max(1, _BATCH_VALUES // (neurons * width)),
        confidence_level=LEVEL,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(value, float(low), float(high))
