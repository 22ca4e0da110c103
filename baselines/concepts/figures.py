"""Figures of dissections: unique detectors, units per label, and distributions of the IoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from milannotations.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinct in greyscale, too, and to most colour-blind readers (Okabe and Ito, 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#f0e442")
_MAX_LABELS = 60  # bars in one figure
FORMATS = ("svg", "png")


def unique_detectors(layers: Mapping[str, Mapping[str, int]], bar: float, path: Path) -> list[Path]:
    """Draw the number of unique detectors (labels that have one) by layer and category.

    This is figure 5 of Bau et al. (CVPR 2017).

    Args:
        layers: For each layer the number by category; the categories are the same in all layers.
        bar: The least IoU of a detector.
        path: Where to write, without an extension.

    Returns:
        The files: SVG, then PNG.
    """
    names = list(layers)
    categories = list(next(iter(layers.values())))
    figure = Figure(figsize=(max(4.8, 1.1 * len(names) + 2.4), 3.4), layout="constrained")
    axes: Axes = figure.subplots()
    bottom = np.zeros(len(names))
    for colour, category in zip(_colours(len(categories)), categories, strict=True):
        heights = np.array([layers[name][category] for name in names], dtype=float)
        drawn = axes.bar(names, heights, 0.62, bottom=bottom, color=colour, label=category)
        labels = [f"{int(h)}" if h else "" for h in heights]
        axes.bar_label(drawn, labels, label_type="center", fontsize=7, color="white")
        bottom += heights
    axes.set_ylabel("unique detectors")
    axes.set_title(f"Labels with a detector (IoU over {bar:g})", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.tick_params(axis="x", rotation=30 if len(names) > 3 else 0)
    return _finished(figure, axes, path)


def units_per_label(labels: Mapping[str, Mapping[str, int]], title: str, path: Path) -> list[Path]:
    """Draw the number of detectors of each label of a layer, by category, most frequent first.

    Args:
        labels: Number of units by category and label.
        title: Title of the figure.
        path: Where to write, without an extension.

    Returns:
        The files: SVG, then PNG.
    """
    bars = [(c, name, n) for c, counts in labels.items() for name, n in counts.items()]
    left_out = max(0, len(bars) - _MAX_LABELS)
    if left_out:  # the most frequent of all, still by category
        least = sorted((n for _, _, n in bars), reverse=True)[_MAX_LABELS - 1]
        bars = [bar for bar in bars if bar[2] >= least][:_MAX_LABELS]
        title += f" ({left_out} labels more)"
    colours = dict(zip(labels, _colours(len(labels)), strict=True))
    figure = Figure(figsize=(max(4.8, 0.17 * len(bars) + 2), 3.6), layout="constrained")
    axes: Axes = figure.subplots()
    positions = np.arange(len(bars))
    for category in labels:
        members = [i for i, bar in enumerate(bars) if bar[0] == category]
        if members:
            heights = [bars[i][2] for i in members]
            axes.bar(positions[members], heights, 0.8, color=colours[category], label=category)
    axes.set_xticks(positions, [_short(name) for _, name, _ in bars], rotation=90, fontsize=7)
    axes.set_xlim(-0.8, max(len(bars), 1) - 0.2)
    axes.set_ylabel("units")
    axes.set_title(title, fontsize=10, loc="left")
    if bars:
        axes.legend(frameon=False, fontsize=8, loc="upper right")
    else:
        axes.text(0.5, 0.5, "no detectors", ha="center", transform=axes.transAxes)
    return _finished(figure, axes, path)


def iou_by_length(layers: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> list[Path]:
    """Draw the distribution of the units' IoU with single labels and with formulas.

    Args:
        layers: For each layer the IoUs by name, such as ``one label`` and ``formula``.
        path: Where to write, without an extension.

    Returns:
        The files: SVG, then PNG.
    """
    figure = Figure(figsize=(max(4.8, 1.3 * len(layers) + 3), 3.4), layout="constrained")
    axes: Axes = figure.subplots()
    kinds = list(next(iter(layers.values())))
    width = 0.8 / len(kinds)
    for number, (kind, colour) in enumerate(zip(kinds, COLOURS, strict=False)):
        positions = np.arange(len(layers)) + (number - (len(kinds) - 1) / 2) * width
        drawn = axes.boxplot(
            [list(of_layer[kind]) for of_layer in layers.values()],
            positions=positions,
            widths=0.8 * width,
            patch_artist=True,
            showfliers=False,
            medianprops={"color": "white", "linewidth": 1.5},
        )
        for box in drawn["boxes"]:
            box.set(facecolor=colour, edgecolor=colour)
        axes.bar(0, 0, color=colour, label=kind)
    axes.set_xticks(np.arange(len(layers)), list(layers))
    axes.set_ylabel("IoU")
    axes.set_title("IoU of units: median, quartiles, range", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return _finished(figure, axes, path, whole=False)


def _finished(figure: Figure, axes: Axes, path: Path, whole: bool = True) -> list[Path]:
    axes.spines[["top", "right"]].set_visible(False)
    if whole:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    written = []
    for kind in FORMATS:
        target = path.with_name(f"{path.name}.{kind}")
        with atomic_path(target) as partial:
            # Without a date, and with fixed ids: the same numbers give the same file.
            metadata = {"Date": None} if kind == "svg" else None
            with rc_context({"svg.hashsalt": "milannotations"}):
                figure.savefig(partial, format=kind, dpi=160, metadata=metadata)
        written.append(target)
    return written


def _colours(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _short(name: str) -> str:
    # Matplotlib would typeset what stands between dollar signs.
    plain = name.replace("$", r"\$")
    return plain if len(plain) <= 28 else plain[:27] + "…"
