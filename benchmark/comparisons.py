"""Which differences between methods are more than chance, over a whole board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

from benchmark.harness import Scored
from benchmark.intervals import RESAMPLES
from benchmark.metrics.base import Metric
from benchmark.significance import holm, paired_difference

COLUMNS = (
    "metric", "first", "second", "difference", "low", "high", "p", "p_holm", "effect",
    "superiority",
)  # fmt: skip


def compare(
    scored: Mapping[str, Scored],
    metric: Metric,
    split: str,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare every pair of methods on one metric, the higher one first.

    Args:
        scored: What the harness gave, by method.
        metric: The metric.
        split: The split.
        names: Which methods; default all that have this metric on this split.
        resamples: Bootstrap resamples.
        seed: Of the bootstrap and the randomization.
        strata: Of the bootstrap; see ``benchmark.intervals.bootstrap``.

    Returns:
        One row per pair with ``COLUMNS``: the paired difference with its interval, the p-value by
        approximate randomization, that value adjusted for all pairs of the table (Holm), Cohen's d
        for paired samples, and the share of neurons on which the first is better. Ordered by the
        adjusted p-value, then by the difference.
    """
    key = (split, metric.name)
    present = [n for n in (names or scored) if key in scored[n].statistics]
    values = {n: float(metric.aggregate(scored[n].statistics[key].sum(0))) for n in present}
    sign = 1 if metric.info.higher_is_better else -1
    rows = []
    for pair in combinations(present, 2):
        first, second = sorted(pair, key=lambda n: -sign * values[n])
        found = paired_difference(
            metric, scored[first].statistics[key], scored[second].statistics[key],
            resamples, seed, strata,
        )  # fmt: skip
        rows.append(
            (metric.name, first, second, found.value, found.low, found.high, found.p, 0.0,
             found.effect, found.superiority)
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["p_holm"] = holm(table["p"].tolist())
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].sort_values("p_holm", kind="stable", ignore_index=True)
