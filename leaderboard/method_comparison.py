"""Comparing two rows: the paired test, and the neurons on which they differ most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.consistency import averages, is_mean
from benchmark.metrics.base import MeanMetric
from benchmark.metrics.bounds import is_mean_by_name
from benchmark.result import Method, Score
from benchmark.significance import ALPHA, Difference, paired_difference
from leaderboard.results_folder import LoadedResult
from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey
from milannotations.storage import atomic_path
from milannotations.untrusted_text import as_cell, clean, clip


class _Mean(MeanMetric):
    """The mean of given values per neuron."""

    name = "mean"

    @property
    def signature(self) -> str:
        return "mean"

    def statistics(self, references: object, predictions: object) -> dict[str, np.ndarray]:
        raise TypeError("the values are given")


@dataclass(frozen=True)
class Comparison:
    """Two methods on one split.

    Attributes:
        metric: The metric's name.
        split: The split.
        difference: First minus second, with interval, p-value, effect size and superiority; None if
            the metric is not a mean over neurons, so that its difference cannot be computed from
            their values.
        values: The two scores.
        neurons: Number of neurons with both values.
        table: Those neurons, with the columns of the key, ``first``, ``second`` (values),
            ``said_first``, ``said_second`` (descriptions) and ``difference``, the largest absolute
            difference first.
    """

    metric: str
    split: str
    difference: Difference | None
    values: tuple[float, float]
    neurons: int
    table: pd.DataFrame


def compare(
    first: LoadedResult,
    second: LoadedResult,
    split: str,
    metric: str,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two methods on the same neurons.

    Args:
        first: One row.
        second: The other.
        split: A split that both have.
        metric: A metric that both have there, with the same signature and on the same data.
        resamples: Of the paired bootstrap.
        seed: Seed of the bootstrap and of the randomization.

    Raises:
        InputError: If their numbers cannot be compared.
    """
    scores = _comparable_scores(first, second, split, metric)
    values = [_own_values(loaded, split, metric) for loaded in (first, second)]
    table = (
        values[0]
        .join(values[1], how="inner", lsuffix="_first", rsuffix="_second")
        .dropna(subset=["value_first", "value_second"])
        .rename(
            columns={
                "value_first": "first",
                "value_second": "second",
                "description_first": "said_first",
                "description_second": "said_second",
            }
        )
    )
    if len(table) < 2:
        raise InputError("the two share fewer than two neurons that were scored")
    info = first.result.metrics[metric]
    table["difference"] = (table["first"] - table["second"]) * (1 if info.higher_is_better else -1)
    difference = None
    wholes = [(own["value"], score.value) for own, score in zip(values, scores, strict=True)]
    # Results before version 3 do not record it, so for unknown metrics the values must show it.
    unknown = info.mean is None and is_mean_by_name(metric) is None
    if is_mean(metric, info) or (unknown and all(averages(v.to_numpy(), w) for v, w in wholes)):
        ones = np.ones(len(table))
        ours, theirs = (
            np.stack([table[side].to_numpy(dtype=float), ones], 1) for side in ("first", "second")
        )
        difference = paired_difference(_Mean(), ours, theirs, resamples=resamples, seed=seed)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return Comparison(
        metric,
        split,
        difference,
        (scores[0].value, scores[1].value),
        len(table),
        table.loc[order].reset_index(),
    )


def _comparable_scores(
    first: LoadedResult, second: LoadedResult, split: str, metric: str
) -> list[Score]:
    """Return both scores, which must be of the same neurons and have the same signature."""
    for loaded in (first, second):
        scored = loaded.result.splits.get(split)
        if scored is None or metric not in scored.scores:
            present = [
                f"{name}/{own}" for name, s in loaded.result.splits.items() for own in s.scores
            ]
            raise InputError(
                f"{loaded.method.name} has no {metric} on split {split!r}"
                f"{did_you_mean(f'{split}/{metric}', present)}"
            )
    splits = [loaded.result.splits[split] for loaded in (first, second)]
    if splits[0].fingerprint != splits[1].fingerprint:
        raise InputError(f"the two were scored on different neurons of split {split!r}")
    scores = [scored.scores[metric] for scored in splits]
    if scores[0].signature != scores[1].signature:
        raise InputError(
            f"{metric} has two signatures, {scores[0].signature!r} and {scores[1].signature!r}: "
            "such numbers cannot be compared"
        )
    return scores


def _own_values(loaded: LoadedResult, split: str, metric: str) -> pd.DataFrame:
    table = loaded.per_neuron[loaded.per_neuron["split"] == split]
    if metric not in table.columns:
        raise InputError(f"{loaded.path}: the per-neuron table has no column {metric!r}")
    own = table[[*NeuronKey._fields, "description", metric]].rename(columns={metric: "value"})
    own["value"] = pd.to_numeric(own["value"], errors="coerce")
    own = own.set_index(list(NeuronKey._fields))
    if not own.index.is_unique:
        raise InputError(f"{loaded.path}: the per-neuron table has a neuron twice")
    return own


def comparison_lines(
    comparison: Comparison, first: Method, second: Method, neurons: int = 5
) -> list[str]:
    """Describe a comparison in lines of text.

    Args:
        comparison: The comparison.
        first: The first method.
        second: The second.
        neurons: How many neurons to list on which each method is better by most.
    """
    names = [clean(method.title) for method in (first, second)]
    lines = [
        f"{comparison.metric} on {comparison.split}, {comparison.neurons:,} neurons",
        f"  {comparison.values[0]:.4f}  {names[0]}",
        f"  {comparison.values[1]:.4f}  {names[1]}",
    ]
    d = comparison.difference
    if d is None:
        lines.append("  no paired test: this metric is not a mean over neurons")
    else:
        lines.append(
            f"  difference {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}], p = {d.p:.4f}, "
            f"d = {d.effect:.2f}, the first better on {d.superiority:.0%} of the neurons"
        )
        verdict = "cannot be told apart" if d.p >= ALPHA else "differ by more than chance"
        lines.append(f"  the two {verdict} at the level {ALPHA}")
    for name, sign in zip(names, (1, -1), strict=True):
        best = comparison.table[comparison.table["difference"] * sign > 0].head(neurons)
        if len(best):
            lines.append(f"Neurons on which {name} is better by most:")
        for row in best.itertuples():
            lines.append(f"  {clean(row.model)} {clean(row.layer)}:{row.unit}")
            for value, text in ((row.first, row.said_first), (row.second, row.said_second)):
                lines.append(f"    {value:.3f}  {clip(clean(str(text)), 100)}")
    return lines


def write_csv(comparison: Comparison, out: Path) -> None:
    """Write every neuron's difference, with a quote before texts that are formulas."""
    table = comparison.table.copy()
    for column in ("model", "dataset", "layer", "said_first", "said_second"):
        table[column] = [as_cell(str(text)) for text in table[column]]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        table.to_csv(path, index=False)
