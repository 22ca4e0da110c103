"""Paired comparisons of all methods on one metric, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

from benchmark.harness import Scored
from benchmark.intervals import RESAMPLES
from benchmark.metrics.base import Metric
from benchmark.significance import holm, paired_difference

COLUMNS = (
    *("metric", "first", "second", "difference", "low", "high"),
    *("p", "p_holm", "effect", "superiority"),
)


def compare(
    scored: Mapping[str, Scored],
    metric: Metric,
    split: str,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    strata: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare every pair of methods on one metric, the better method first.

    Args:
        scored: Results of ``benchmark.harness.score``, by method.
        metric: The metric.
        split: The split.
        names: The methods to compare; by default all that have this metric on this split.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of the randomization.
        strata: Strata of the bootstrap; see ``benchmark.intervals.bootstrap``.

    Returns:
        One row per pair with ``COLUMNS``: the paired difference with its interval, the p-value by
        approximate randomization, the p-value adjusted for all pairs of the table (Holm), Cohen's d
        for paired samples, and the share of neurons on which the first method is better. Rows are
        sorted by the adjusted p-value, then by the size of the difference.
    """
    key = (split, metric.name)
    present = [n for n in (names or scored) if key in scored[n].statistics]
    values = {n: float(metric.aggregate(scored[n].statistics[key].sum(0))) for n in present}
    sign = 1 if metric.info.higher_is_better else -1
    rows = []
    for pair in combinations(present, 2):
        first, second = sorted(pair, key=lambda n: -sign * values[n])
        better, worse = (scored[name].statistics[key] for name in (first, second))
        gap = paired_difference(metric, better, worse, resamples, seed, strata)
        interval = (gap.value, gap.low, gap.high)
        rows.append(
            (metric.name, first, second, *interval, gap.p, 0.0, gap.effect, gap.superiority)
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["p_holm"] = holm(table["p"].tolist())
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].sort_values("p_holm", kind="stable", ignore_index=True)
