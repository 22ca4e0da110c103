"""Checks that a result agrees with its per-neuron table: counts, means and intervals.

Everything that follows from the table is computed again. The values of corpus metrics (BLEU, ROUGE
over pairs) do not follow from the neurons' own values; here only their counts and ranges are
checked, and ``benchmark.result_files`` compares them with the result recorded in the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.intervals import interval
from benchmark.metrics.bounds import BOUNDS, CORRECTED, is_mean_by_name
from benchmark.per_neuron import PER_NEURON_COLUMNS
from benchmark.result import MetricInfo, Result, Score, SplitResult
from milannotations.untrusted_text import clip

TOLERANCE = 1e-6  # relative to the larger of the value and 1
_RANGE = 1e-6


class Disagreement(NamedTuple):
    """A field of a result that contradicts the table.

    Attributes:
        field: Its path, such as ``splits.test.scores.bleu.n``.
        message: Its value, and the value that the table implies.

    >>> Disagreement("splits.test.neurons", "splits.test.neurons is 3, but …").field
    'splits.test.neurons'
    """

    field: str
    message: str


def disagreements(result: Result, table: pd.DataFrame) -> list[Disagreement]:
    """Compare a result's numbers with its table.

    Args:
        result: The result.
        table: The table, as ``benchmark.per_neuron.read_table`` returns it.
    """
    faults = []
    splits = list(dict.fromkeys(table["split"]))
    for split in dict.fromkeys((*result.splits, *splits)):
        field = f"splits.{clip(split, 64)}"
        if split not in result.splits:
            faults.append(
                Disagreement(field, f"{field} is missing, but the table has neurons of it")
            )
            continue
        faults += _split(field, result, result.splits[split], table[table["split"] == split])
    for column in table.columns:
        if column not in PER_NEURON_COLUMNS and column not in result.metrics:
            field = f"metrics.{clip(column, 64)}"
            faults.append(Disagreement(field, f"{field} is missing, but the table has its values"))
    return faults


def is_mean(name: str, metric: MetricInfo) -> bool:
    """Return whether a metric's value is the mean of the neurons' own values."""
    by_name = is_mean_by_name(name)
    return by_name if by_name is not None else bool(metric.mean)


def averages(values: np.ndarray, whole: float) -> bool:
    """Return whether ``whole`` is the mean of the values that are not NaN.

    >>> averages(np.array([1.0, 2.0, np.nan]), 1.5), averages(np.array([1.0, 2.0]), 1.6)
    (True, False)
    """
    own = values[~np.isnan(values)]
    return bool(len(own)) and _near(whole, float(own.mean()))


def _split(
    field: str, result: Result, split: SplitResult, rows: pd.DataFrame
) -> Iterator[Disagreement]:
    if split.neurons != len(rows):
        yield _differs(f"{field}.neurons", split.neurons, f"the table has {len(rows)} rows of it")
    if split.scored > split.neurons:
        yield _differs(f"{field}.scored", split.scored, f"there are {split.neurons} neurons")
    for column in rows.columns:
        if column in PER_NEURON_COLUMNS or column in split.scores:
            continue
        if rows[column].notna().any():
            at = f"{field}.scores.{clip(column, 64)}"
            yield Disagreement(at, f"{at} is missing, but the table has its values")
    for name, score in split.scores.items():
        at = f"{field}.scores.{clip(name, 64)}"
        if name not in rows.columns:
            yield Disagreement(at, f"{at} is there, but the table has no column {name!r}")
            continue
        values = rows[name].to_numpy(dtype=np.float64)
        yield from _counts(at, score, split, values)
        yield from _ranges(at, name, score)
        if is_mean(name, result.metrics[name]):
            yield from _mean(at, name, score, split, result, values, rows)


def _counts(
    at: str, score: Score, split: SplitResult, values: np.ndarray
) -> Iterator[Disagreement]:
    present = int(np.isfinite(values).sum())
    infinite = int(np.isinf(values).sum())
    if infinite:
        yield Disagreement(at, f"{at} is {score.value:.6g}, but {infinite} values are infinite")
    if score.n not in (split.scored, split.neurons):
        expected = f"{split.scored} neurons were scored"
        yield _differs(f"{at}.n", score.n, expected)
    elif not 0 < present <= score.n:
        yield _differs(f"{at}.n", score.n, f"the table has {present} values")


def _ranges(at: str, name: str, score: Score) -> Iterator[Disagreement]:
    low, high = BOUNDS.get(name, (-math.inf, math.inf))
    for field in ("value", "low", "high"):
        value = getattr(score, field)
        if not low - _RANGE <= value <= high + _RANGE:
            yield _differs(f"{at}.{field}", value, f"{name} lies between {low:g} and {high:g}")
    if score.low > score.high:
        yield _differs(f"{at}.low", score.low, f"high is {score.high:.6g}")


def _mean(
    at: str,
    name: str,
    score: Score,
    split: SplitResult,
    result: Result,
    values: np.ndarray,
    rows: pd.DataFrame,
) -> Iterator[Disagreement]:
    present = np.isfinite(values)
    if not present.any():
        return
    mean = float(values[present].mean())
    if not _near(score.value, mean):
        yield _differs(f"{at}.value", score.value, f"the mean of the table is {mean:.6g}")
        return
    scored = _scored(score, split, values, rows)
    # The interval of a corrected metric also resamples people's scores, which the table lacks.
    if scored is None or not result.resamples or name.endswith(CORRECTED):
        return
    statistics = np.stack([np.where(present, values, 0.0), present], axis=1)[scored]
    strata = [f"{m}/{d}/{layer}" for m, d, layer in _layers(rows[scored])]
    ends = []
    for stratum in (None, strata):  # `score --stratify` is not recorded
        computed = interval(_ratio, statistics, result.resamples, result.seed, stratum)
        ends.append(computed)
        if _near(score.low, computed.low) and _near(score.high, computed.high):
            return
    for field in ("low", "high"):
        value, computed = getattr(score, field), getattr(ends[0], field)
        if not _near(value, computed):
            expected = f"the interval by the table ends at {computed:.6g}"
            yield _differs(f"{at}.{field}", value, expected)


def _scored(
    score: Score, split: SplitResult, values: np.ndarray, rows: pd.DataFrame
) -> np.ndarray | None:
    """Return which rows were scored; None if the table does not show it."""
    if score.n == len(rows):
        return np.ones(len(rows), dtype=bool)
    if np.isfinite(values).sum() == score.n:
        return np.isfinite(values)
    names = [name for name, other in split.scores.items() if other.n == score.n]
    scored = rows[[name for name in names if name in rows.columns]].notna().any(axis=1).to_numpy()
    return scored if scored.sum() == score.n else None


def _layers(rows: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    return zip(rows["model"], rows["dataset"], rows["layer"], strict=True)


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _near(value: float, computed: float) -> bool:
    return abs(value - computed) <= TOLERANCE * max(1.0, abs(computed))


def _differs(field: str, value: float, expected: str) -> Disagreement:
    shown = str(value) if isinstance(value, int) else f"{value:.6g}"
    return Disagreement(field, f"{field} is {shown}, but {expected}")
