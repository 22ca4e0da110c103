"""Tables of an experiment: means over trials, their spread, and published values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.experiments.cells import CONTROLS, Cell
from benchmark.experiments.published import published_value
from benchmark.intervals import Interval, over_trials_and_neurons
from milannotations.storage import atomic_path

_KEYS = ("family", "train", "test", "method", "metric", "protocol", "signature")
COLUMNS = (*_KEYS, "mean", "deviation", "low", "high", "trials", "neurons", "published")
# The columns of a table that identify a row.
NAMING = ("generalization", "train", "test", "protocol", "signature")
_LATEX = {
    **{character: rf"\{character}" for character in "&%_#"},
    **{"\\": r"\textbackslash ", "±": r"$\pm$", "−": "$-$", "–": "--"},
}
Bounds = Mapping[str, tuple[float, float]]


def summarize(cells: Sequence[Cell], bounds: Bounds | None = None) -> pd.DataFrame:
    """Return one row per split, method and signature of a metric, with ``COLUMNS``.

    ``deviation`` is the standard deviation over trials. The 95 % interval is the bootstrap interval
    over neurons; for several trials it is that of ``over_trials_and_neurons``, which combines
    Student's interval over trials with the bootstrap interval, because trials on the same neurons
    do not reduce the error over neurons. ``published`` is the paper's value, if it measures exactly
    the same; see ``benchmark.experiments.published``.

    Args:
        cells: The cells.
        bounds: By metric, the lowest and the highest possible value, where intervals are cut.
    """
    rows: dict[tuple[str, ...], list[tuple[Cell, str]]] = {}
    for cell in cells:
        for metric, score in cell.scores.items():
            split = (cell.family, cell.train, cell.test)
            key = (*split, cell.method, metric, cell.protocol, score.signature)
            rows.setdefault(key, []).append((cell, metric))
    lines = []
    for row, trials in rows.items():
        metric = row[4]
        scores = [cell.scores[metric] for cell, _ in trials]
        spread = float("nan")
        whole = Interval(scores[0].value, scores[0].low, scores[0].high)
        if len(scores) > 1:
            values = [score.value for score in scores]
            spread = float(np.std(values, ddof=1))
            halves = [(score.high - score.low) / 2 for score in scores]
            limits = (bounds or {}).get(metric, (-math.inf, math.inf))
            whole = over_trials_and_neurons(values, halves, limits)
        published = published_value(trials[0][0], metric)[0]
        counts = (len(scores), trials[0][0].neurons)
        value = float("nan") if published is None else published
        lines.append((*row, whole.value, spread, whole.low, whole.high, *counts, value))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def pivot(summary: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per split and one column per method, with ``mean ± deviation`` as text.

    Values with different protocols or signatures are in different rows.
    """
    of_metric = summary[summary["metric"] == metric]
    index = [*NAMING[:3], *(name for name in NAMING[3:] if of_metric[name].nunique() > 1)]
    table = pd.DataFrame(
        {
            "generalization": of_metric["family"],
            "train": of_metric["train"],
            "test": of_metric["test"],
            "protocol": of_metric["protocol"],
            "signature": of_metric["signature"],
            "method": of_metric["method"],
            "value": [
                _number(row.mean_, metric)
                + ("" if np.isnan(row.deviation) else f" ± {_number(row.deviation, metric)}")
                + ("" if np.isnan(row.published) else f" (published {row.published:.2f})")
                for row in of_metric.rename(columns={"mean": "mean_"}).itertuples()
            ],
        }
    )
    order = list(dict.fromkeys(of_metric["method"]))
    order = [m for m in order if m not in CONTROLS] + [m for m in CONTROLS if m in order]
    wide = table.pivot_table(
        index=index, columns="method", values="value", aggfunc="first", sort=False
    )
    return wide[order].reset_index().rename_axis(columns=None).fillna("–")


def write_tables(summary: pd.DataFrame, out: Path, note: str) -> list[Path]:
    """Write ``results.csv``, and per metric a Markdown and a LaTeX table."""
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "results.csv"]
    with atomic_path(written[0]) as path:
        summary.to_csv(path, index=False)
    for metric in dict.fromkeys(summary["metric"]):
        table = pivot(summary, metric)
        for name, text in (
            (f"{metric}.md", f"{table.to_markdown(index=False)}\n\n{note}\n"),
            (f"{metric}.tex", _latex(table)),
        ):
            with atomic_path(out / name) as path:
                path.write_text(text, encoding="utf-8")
            written.append(out / name)
    return written


def _latex(table: pd.DataFrame) -> str:
    # Escaped here because the escaping of some versions of pandas needs a further package.
    escaped = table.rename(columns=_escape).map(_escape)
    body = [" & ".join(escaped.columns) + r" \\", r"\midrule"]
    body += [" & ".join(row) + r" \\" for row in escaped.itertuples(index=False)]
    align = "".join("l" if name in NAMING else "r" for name in table.columns)
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _number(value: float, metric: str) -> str:
    return f"{value:.1f}" if metric.startswith("bleu") else f"{value:.3f}"
