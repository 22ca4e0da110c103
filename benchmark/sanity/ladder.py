"""Ladders: descriptions that get worse in known steps.

On rung *p* the descriptions of a share *p* of the neurons are replaced by worse ones; the others
are a person's. The true quality falls with every rung, and so does a metric that ranks methods
correctly.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import kendalltau

from benchmark.metrics.base import Floats, Metric
from benchmark.sanity.checks import CONSTANT

OTHERS = "others"
RUNGS = np.linspace(0, 1, 11)
_ORDERS = 10  # of corrupting the neurons; the result is the mean over them


def ladder(
    metric: Metric, human: Floats, others: Floats, constant: Floats, seed: int = 0
) -> dict[str, float]:
    """Return how well a metric orders the rungs of two ladders.

    Args:
        metric: The metric.
        human: Statistics of a person's descriptions, shape (neurons, statistics).
        others: Statistics of descriptions that belong to other neurons of the layer.
        constant: Statistics of the constant that scores highest.
        seed: Seed of the orders in which neurons are corrupted.

    Returns:
        Kendall's tau-b of the metric with true quality, from -1 to 1, by what replaces the
        descriptions: ``others`` and ``constant``. A ladder on which the metric has no value, or
        does not change, is left out.
    """
    rng = np.random.default_rng(seed)
    sign = 1 if metric.info.higher_is_better else -1
    taus = {}
    for name, worse in ((OTHERS, others), (CONSTANT, constant)):
        agreements = []
        for _ in range(_ORDERS):
            order = rng.permutation(len(human))
            values = []
            for rung in RUNGS:
                corrupted = order[: round(rung * len(order))]
                mixed = human.copy()
                mixed[corrupted] = worse[corrupted]
                values.append(sign * float(metric.aggregate(mixed.sum(0))))
            agreements.append(float(kendalltau(-RUNGS, values).statistic))
        mean = float(np.mean(agreements))
        if math.isfinite(mean):
            taus[name] = mean
    return taus
