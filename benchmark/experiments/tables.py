"""From cells to tables: the mean over trials, its spread, and what was published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmark.experiments.cells import CONTROLS, Cell
from benchmark.statistics import LEVEL
from milannotations.storage import atomic_path

PUBLISHED = Path(__file__).parent / "published.csv"
COLUMNS = (
    "family", "train", "test", "method", "metric", "mean", "deviation", "low", "high", "trials",
    "neurons", "published",
)  # fmt: skip


def summarize(cells: Sequence[Cell]) -> pd.DataFrame:
    """Return one row per split, method and metric, with ``COLUMNS``.

    ``deviation`` is the standard deviation over trials. The 95 % interval is the bootstrap's over
    neurons; with several trials it is the normal one whose variance is the sum of two: the
    bootstrap's, which trials on the same neurons do not reduce, and that of the mean over trials.
    ``published`` is the paper's number
    for the same networks and metric; its metric has the paper's configuration, which differs from
    ours unless the signature says roberta-large with rescaling.
    """
    rows: dict[tuple[str, str, str, str, str], list[tuple[Cell, str]]] = {}
    for cell in cells:
        for metric in cell.scores:
            key = (cell.family, cell.train, cell.test, cell.method, metric)
            rows.setdefault(key, []).append((cell, metric))
    known = pd.read_csv(PUBLISHED)
    lines = []
    for key, found in rows.items():
        values = np.array([cell.scores[metric].value for cell, metric in found])
        mean, spread = float(values.mean()), float("nan")
        low, high = (getattr(found[0][0].scores[found[0][1]], end) for end in ("low", "high"))
        if len(values) > 1:
            spread = float(values.std(ddof=1))
            wide = float(stats.norm.ppf((1 + LEVEL) / 2))
            halves = [(c.scores[m].high - c.scores[m].low) / 2 for c, m in found]
            half = np.hypot(
                float(np.sqrt(np.mean(np.square(halves)))), wide * spread / np.sqrt(len(values))
            )
            low, high = mean - half, mean + half
        family, train, test, method, metric = key
        same = known[
            (known["family"] == family) & (known["train"] == train) & (known["test"] == test)
            & (known["method"] == method) & (known["metric"] == metric)
        ]  # fmt: skip
        published = float(same["value"].iloc[0]) if len(same) else float("nan")
        lines.append((*key, mean, spread, low, high, len(values), found[0][0].neurons, published))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def pivot(summary: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per split and one column per method, ``mean ± deviation`` as text."""
    some = summary[summary["metric"] == metric]
    table = pd.DataFrame(
        {
            "generalization": some["family"],
            "train": some["train"],
            "test": some["test"],
            "method": some["method"],
            "value": [
                _number(row.mean_, metric)
                + ("" if np.isnan(row.deviation) else f" ± {_number(row.deviation, metric)}")
                + ("" if np.isnan(row.published) else f" (published {row.published:.2f})")
                for row in some.rename(columns={"mean": "mean_"}).itertuples()
            ],
        }
    )
    order = list(dict.fromkeys(some["method"]))
    order = [m for m in order if m not in CONTROLS] + [m for m in CONTROLS if m in order]
    index = ["generalization", "train", "test"]
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
    # Escaped before pandas sees it: its own escaping needs a further package in some versions.
    escaped = table.rename(columns=_escape).map(_escape)
    body = [" & ".join(escaped.columns) + r" \\", r"\midrule"]
    body += [" & ".join(row) + r" \\" for row in escaped.itertuples(index=False)]
    align = "lll" + "r" * (len(table.columns) - 3)
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    for old, new in (("\\", r"\textbackslash "), ("&", r"\&"), ("%", r"\%"), ("_", r"\_"),
                     ("#", r"\#"), ("±", r"$\pm$"), ("−", "$-$"), ("–", "--")):  # fmt: skip
        text = text.replace(old, new)
    return text


def _number(value: float, metric: str) -> str:
    return f"{value:.1f}" if metric.startswith("bleu") else f"{value:.3f}"
