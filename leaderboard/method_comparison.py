"""Two rows side by side: the paired test, and the neurons on which they differ most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.consistency import averages, is_mean
from benchmark.metrics.base import MeanMetric
from benchmark.metrics.bounds import is_mean_by_name
from benchmark.result import Method
from benchmark.significance import ALPHA, Difference, paired_difference
from leaderboard.results_folder import LoadedResult
from milannotations.errors import InputError, did_you_mean
from milannotations.record import NeuronKey
from milannotations.storage import atomic_path
from milannotations.untrusted_text import as_cell, clean, clip


class _Mean(MeanMetric):
    """The mean of values per neuron that are known already."""

    name = "mean"

    @property
    def signature(self) -> str:
        return "mean"

    def statistics(self, problem: object, methods: object) -> dict[str, np.ndarray]:
        raise TypeError("the values are known already")


@dataclass(frozen=True)
class Comparison:
    """Two methods on one split.

    Attributes:
        metric: The metric's name.
        split: The split.
        difference: First minus second, with interval, p, effect size and superiority; None if the
            metric is no mean over neurons, so that its difference cannot be had from their values.
        values: The two scores.
        neurons: How many have both values.
        table: Those neurons, with the columns of the key, ``first``, ``second`` (values),
            ``said_first``, ``said_second`` and ``difference``, the largest absolute one first.
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
        metric: A metric that both have there, by the same signature and on the same data.
        resamples: Of the paired bootstrap.
        seed: Of it and of the randomization.

    Raises:
        InputError: If their numbers cannot be compared.
    """
    for one in (first, second):
        scored = one.result.splits.get(split)
        if scored is None or metric not in scored.scores:
            known = [
                f"{name}/{m}" for name, result in one.result.splits.items() for m in result.scores
            ]
            raise InputError(
                f"{one.method.name} has no {metric} on split {split!r}"
                f"{did_you_mean(f'{split}/{metric}', known)}"
            )
    splits = [one.result.splits[split] for one in (first, second)]
    if splits[0].fingerprint != splits[1].fingerprint:
        raise InputError(f"the two were scored on different neurons of split {split!r}")
    scores = [one.scores[metric] for one in splits]
    if scores[0].signature != scores[1].signature:
        raise InputError(
            f"{metric} has two signatures, {scores[0].signature!r} and {scores[1].signature!r}: "
            "such numbers cannot be compared"
        )
    tables = [_own(one, split, metric) for one in (first, second)]
    table = (
        tables[0]
        .join(tables[1], how="inner", lsuffix="_first", rsuffix="_second")
        .dropna(subset=["value_first", "value_second"])
    )
    if len(table) < 2:
        raise InputError("the two share fewer than two neurons that were scored")
    table = table.rename(
        columns={
            "value_first": "first",
            "value_second": "second",
            "description_first": "said_first",
            "description_second": "said_second",
        }
    )
    higher = first.result.metrics[metric].higher_is_better
    table["difference"] = (table["first"] - table["second"]) * (1 if higher else -1)
    found = None
    facts = first.result.metrics[metric]
    wholes = [(own["value"], score.value) for own, score in zip(tables, scores, strict=True)]
    # Results before version 3 do not say it of metrics that are not known here.
    unknown = facts.mean is None and is_mean_by_name(metric) is None
    if is_mean(metric, facts) or (unknown and all(averages(v.to_numpy(), w) for v, w in wholes)):
        ones = np.ones(len(table))
        ours, theirs = (
            np.stack([table[c].to_numpy(dtype=float), ones], 1) for c in ("first", "second")
        )
        found = paired_difference(_Mean(), ours, theirs, resamples=resamples, seed=seed)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return Comparison(
        metric,
        split,
        found,
        (scores[0].value, scores[1].value),
        len(table),
        table.loc[order].reset_index(),
    )


def _own(loaded: LoadedResult, split: str, metric: str) -> pd.DataFrame:
    table = loaded.per_neuron[loaded.per_neuron["split"] == split]
    if metric not in table.columns:
        raise InputError(f"{loaded.path}: the per-neuron table has no column {metric!r}")
    own = table[[*NeuronKey._fields, "description", metric]].rename(columns={metric: "value"})
    own["value"] = pd.to_numeric(own["value"], errors="coerce")
    own = own.set_index(list(NeuronKey._fields))
    if not own.index.is_unique:
        raise InputError(f"{loaded.path}: the per-neuron table has a neuron twice")
    return own


def report(found: Comparison, first: Method, second: Method, neurons: int = 5) -> list[str]:
    """Say a comparison in lines: the test, then the largest differences each way."""
    names = [clean(method.title) for method in (first, second)]
    lines = [
        f"{found.metric} on {found.split}, {found.neurons:,} neurons",
        f"  {found.values[0]:.4f}  {names[0]}",
        f"  {found.values[1]:.4f}  {names[1]}",
    ]
    d = found.difference
    if d is None:
        lines.append("  no paired test: this metric is no mean over neurons")
    else:
        lines.append(
            f"  difference {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}], p = {d.p:.4f}, "
            f"d = {d.effect:.2f}, the first better on {d.superiority:.0%} of the neurons"
        )
        verdict = "cannot be told apart" if d.p >= ALPHA else "differ by more than chance"
        lines.append(f"  the two {verdict} at the level {ALPHA}")
    for name, sign in zip(names, (1, -1), strict=True):
        part = found.table[found.table["difference"] * sign > 0].head(neurons)
        if len(part):
            lines.append(f"Neurons on which {name} is better by most:")
        for row in part.itertuples():
            lines.append(f"  {clean(row.model)} {clean(row.layer)}:{row.unit}")
            for value, said in ((row.first, row.said_first), (row.second, row.said_second)):
                lines.append(f"    {value:.3f}  {clip(clean(str(said)), 100)}")
    return lines


def write_csv(found: Comparison, out: Path) -> None:
    """Write every neuron's difference; cells that a spreadsheet would run are made texts."""
    table = found.table.copy()
    for column in ("model", "dataset", "layer", "said_first", "said_second"):
        table[column] = [as_cell(str(text)) for text in table[column]]
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as path:
        table.to_csv(path, index=False)
