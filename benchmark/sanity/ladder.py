"""Ladders: descriptions that are known to get worse, rung by rung.

On rung *p* the descriptions of a share *p* of the neurons are replaced by worse ones, and the rest
are a person's. True quality falls with every rung; a metric that ranks methods rightly falls too.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import kendalltau

from benchmark.metrics.base import Floats, Metric
from benchmark.sanity.checks import CONSTANT

OTHERS = "others"
RUNGS = np.linspace(0, 1, 11)
_ORDERS = 10  # in which neurons are corrupted; the agreement is the mean over them


def ladder(
    metric: Metric, human: Floats, others: Floats, constant: Floats, seed: int = 0
) -> dict[str, float]:
    """Return how well a metric orders the rungs of two ladders.

    Statistics are per neuron, so that a rung takes each from one of two tables.

    Args:
        metric: The metric.
        human: Statistics of a person's descriptions, (neurons, statistics).
        others: Of descriptions that belong to other neurons of the layer.
        constant: Of the constant that the metric likes best.
        seed: Of the orders in which neurons are corrupted.

    Returns:
        Kendall's tau-b of the metric with true quality, from -1 to 1, by what replaces the
        descriptions: ``others`` and ``constant``. A ladder on which the metric has no value, or
        does not change, is left out.
    """
    rng = np.random.default_rng(seed)
    sign = 1 if metric.info.higher_is_better else -1
    found = {}
    for name, worse in ((OTHERS, others), (CONSTANT, constant)):
        agreements = []
        for _ in range(_ORDERS):
            order = rng.permutation(len(human))
            values = []
            for rung in RUNGS:
                gone = order[: round(rung * len(order))]
                mixed = human.copy()
                mixed[gone] = worse[gone]
                values.append(sign * float(metric.aggregate(mixed.sum(0))))
            agreements.append(float(kendalltau(-RUNGS, values).statistic))
        mean = float(np.mean(agreements))
        if math.isfinite(mean):
            found[name] = mean
    return found
