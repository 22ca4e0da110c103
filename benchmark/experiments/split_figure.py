"""The figure of an experiment: methods on every split, between chance and a person."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmark.experiments.cells import CONTROLS, ORACLE, SHUFFLED
from milannotations.storage import atomic_path

_INK, _SOFT, _LINE = "#1d2125", "#59616a", "#d9d6ce"
_COLOURS = ("#1f5f78", "#a8481f", "#5b7f3a", "#7a4f8f", "#8a6d1f", "#444b52")
_MARKERS = "osD^vP"


def draw(summary: pd.DataFrame, metric: str, title: str, note: str, out: Path) -> Path:
    """Draw one row per split, with a point per method, and write a PNG.

    Args:
        summary: The table of ``summarize``.
        metric: Name of the metric.
        title: Title of the metric.
        note: A remark about the data.
        out: The file.
    """
    of_metric = summary[summary["metric"] == metric]
    splits = of_metric.groupby(["family", "train", "test"], sort=False)
    methods = [m for m in dict.fromkeys(of_metric["method"]) if m not in CONTROLS]
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.36 * len(splits)), layout="constrained")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    ticks: list[tuple[float, str]] = []
    y, previous = 0.0, None
    for (family, train, test), rows in splits:
        if previous not in (None, family):
            y += 0.7
        if previous != family:
            axes.text(
                0.0,
                y - 0.62,
                family,
                transform=axes.get_yaxis_transform(),
                color=_SOFT,
                fontsize=9,
                fontstyle="italic",
                va="center",
            )
        previous = family
        _draw_row(axes, y, rows.set_index("method"), methods)
        name = train if train == test else f"{train} → {test}"
        ticks.append((y, f"{name}  (n {rows['neurons'].iloc[0]:,})"))
        y += 1
    positions, labels = zip(*ticks, strict=True) if ticks else ((), ())
    axes.set_yticks(positions, labels, color=_INK, fontsize=9)
    axes.set_ylim(y - 0.3, -1.1)
    axes.set_xlabel(title, color=_INK)
    axes.grid(axis="x", color=_LINE, lw=0.6, zorder=0)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if set(CONTROLS) <= set(of_metric["method"]):
        handles["a reference at the wrong neuron → its own"] = plt.Line2D([], [], color=_LINE, lw=7)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    figure.suptitle(note, x=0.01, ha="left", fontsize=9, color=_SOFT)
    with atomic_path(out) as path:
        figure.savefig(path, dpi=160, format="png")
    plt.close(figure)
    return out


def _draw_row(axes: Axes, y: float, rows: pd.DataFrame, methods: list[str]) -> None:
    """Draw the scale between the controls, and the value and interval of each method."""
    if {SHUFFLED, ORACLE} <= set(rows.index):
        ends = rows.loc[[SHUFFLED, ORACLE], "mean"].tolist()
        axes.plot(ends, [y, y], color=_LINE, lw=7, zorder=1, solid_capstyle="butt")
    for number, method in enumerate(methods):
        if method not in rows.index:
            continue
        row = rows.loc[[method]].iloc[0]
        axes.errorbar(
            row["mean"],
            y + (number - (len(methods) - 1) / 2) * 0.16,
            xerr=[[max(0, row["mean"] - row["low"])], [max(0, row["high"] - row["mean"])]],
            fmt=_MARKERS[number % len(_MARKERS)],
            ms=5,
            lw=1.2,
            color=_COLOURS[number % len(_COLOURS)],
            label=method,
            zorder=3,
        )
