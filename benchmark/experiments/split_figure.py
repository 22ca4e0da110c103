"""The figure of an experiment: every split, between chance and a person."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

from benchmark.experiments.cells import CONTROLS, ORACLE, SHUFFLED
from milannotations.storage import atomic_path

_INK, _SOFT, _LINE = "#1d2125", "#59616a", "#d9d6ce"
_COLOURS = ("#1f5f78", "#a8481f", "#5b7f3a", "#7a4f8f", "#8a6d1f", "#444b52")
_MARKERS = "osD^vP"


def draw(summary: pd.DataFrame, metric: str, title: str, note: str, out: Path) -> Path:
    """Draw one row per split, with a point per method, and write a PNG.

    Args:
        summary: From ``summarize``.
        metric: Which of its metrics.
        title: Name of the metric for people.
        note: What a reader must know of the data.
        out: The file.
    """
    some = summary[summary["metric"] == metric]
    splits = list(dict.fromkeys(zip(some["family"], some["train"], some["test"], strict=True)))
    methods = [m for m in dict.fromkeys(some["method"]) if m not in CONTROLS]
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.36 * len(splits)), layout="constrained")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    positions, labels, at, before = [], [], 0.0, None
    for family, train, test in splits:
        if before not in (None, family):
            at += 0.7
        if before != family:
            axes.text(
                0.0, at - 0.62, family, transform=axes.get_yaxis_transform(), color=_SOFT,
                fontsize=9, fontstyle="italic", va="center",
            )  # fmt: skip
        before = family
        row = some[(some["family"] == family) & (some["train"] == train) & (some["test"] == test)]
        ends = [row[row["method"] == control]["mean"] for control in (SHUFFLED, ORACLE)]
        if all(len(end) for end in ends):
            axes.plot([ends[0].iloc[0], ends[1].iloc[0]], [at, at], color=_LINE, lw=7, zorder=1,
                      solid_capstyle="butt")  # fmt: skip
        for number, method in enumerate(methods):
            found = row[row["method"] == method]
            if len(found):
                value = found.iloc[0]
                shift = (number - (len(methods) - 1) / 2) * 0.16
                axes.errorbar(
                    value["mean"], at + shift,
                    xerr=[[max(0, value["mean"] - value["low"])],
                          [max(0, value["high"] - value["mean"])]],
                    fmt=_MARKERS[number % len(_MARKERS)], ms=5, lw=1.2,
                    color=_COLOURS[number % len(_COLOURS)], label=method, zorder=3,
                )  # fmt: skip
        positions.append(at)
        name = train if train == test else f"{train} → {test}"
        labels.append(f"{name}  (n {row['neurons'].iloc[0]:,})")
        at += 1
    axes.set_yticks(positions, labels, color=_INK, fontsize=9)
    axes.set_ylim(at - 0.3, -1.1)
    axes.set_xlabel(title, color=_INK)
    axes.grid(axis="x", color=_LINE, lw=0.6, zorder=0)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if set(CONTROLS) <= set(some["method"]):
        label = "a reference at the wrong neuron → its own"
        handles[label] = plt.Line2D([], [], color=_LINE, lw=7)
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=3, frameon=False,
        fontsize=9,
    )  # fmt: skip
    figure.suptitle(note, x=0.01, ha="left", fontsize=9, color=_SOFT)
    with atomic_path(out) as path:
        figure.savefig(path, dpi=160, format="png")
    plt.close(figure)
    return out
