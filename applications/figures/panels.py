"""Figures of the reports. Colours are Okabe and Ito's, which the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from applications.figures.lines import PlotLine, draw_line, looks_of, mark_points
from applications.figures.style import (
    WIDTH,
    Interval,
    as_percent,
    beside,
    colour,
    finish,
    fitting,
    grid,
    intervals,
    name,
    name_layers,
    points,
    say_empty,
    short,
)

_MOST_ROWS = 60
_STEPS = (1, 2, 2.5, 5, 10)  # ticks at round numbers


@dataclass(frozen=True)
class Panel:
    """One of several small plots of lines.

    Attributes:
        title: Stands above it.
        series: Its lines.
        x: What is on the horizontal axis.
        y: What is on the vertical axis, as shares from 0 to 1.
        level: A value to draw all along, such as the accuracy before anything was done.
        level_name: What that is, in the legend.
    """

    title: str
    series: Sequence[PlotLine]
    x: str
    y: str
    level: float | None = None
    level_name: str = "nothing ablated"


@dataclass(frozen=True)
class LayerPanel:
    """One of several small plots over the layers of a network.

    Attributes:
        title: Stands above it.
        lines: By name, of each layer a value and the ends of its interval; NaN where unknown.
        unit: What the values are.
        percent: They are shares from 0 to 1.
    """

    title: str
    lines: Mapping[str, Sequence[Interval]]
    unit: str
    percent: bool = False


def curves(
    path: Path,
    panels: Sequence[Panel],
    note: str = "",
    columns: int = 4,
    same_y: bool = False,
) -> Path:
    """Draw small plots of accuracy against the number of ablated units.

    Args:
        path: The PNG file.
        panels: The plots.
        note: A remark above the legend.
        columns: Plots per row, at most.
        same_y: Give all plots the same vertical axis.
    """
    columns = fitting(len(panels), columns)
    figure, axes = grid(len(panels), columns, 1.75, same_y)
    looks = looks_of(series for panel in panels for series in panel.series)
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes, panels, strict=False):
        shown = [series for series in panel.series if len(series.x)]
        for series in shown:
            handles.setdefault(series.name, draw_line(axis, series, looks[series.name]))
        if panel.level is not None:
            line = axis.axhline(panel.level, color="black", linewidth=0.9, linestyle=":", zorder=1)
            handles.setdefault(panel.level_name, line)
        if not shown:
            say_empty(axis)
        axis.margins(x=0.06, y=0.16)
    if not panels:
        say_empty(axes[0])
    # After all lines are drawn, because plots may share an axis and its limits.
    for at, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        _stay_in_range(axis, panel)
        for series in panel.series:
            mark_points(axis, series, panel.series, looks[series.name]["color"])
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1, steps=_STEPS))
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        axis.yaxis.set_major_formatter(as_percent())
        first = at % columns == 0 or panel.y != panels[at - 1].y
        last = at + columns >= len(panels) or panel.x != panels[at + columns].x
        name(axis, panel.title, panel.x if last else "", panel.y if first else "", columns)
    return finish(figure, path, handles, note)


def by_layer(
    path: Path,
    panels: Sequence[LayerPanel],
    layers: Sequence[str],
    note: str = "",
    columns: int = 3,
) -> Path:
    """Draw small plots of values over the layers of a network.

    Args:
        path: The PNG file.
        panels: The plots.
        layers: Names of the layers, in order.
        note: A remark above the legend.
        columns: Plots per row, at most.

    Raises:
        ValueError: If a line has not one value for each layer.
    """
    columns = fitting(len(panels), columns)
    figure, axes = grid(len(panels), columns, 1.7)
    if not panels:
        say_empty(axes[0])
    together = {tuple(panel.lines) for panel in panels}
    handles: dict[str, Any] = {}
    for at, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
        own: dict[str, Any] = {}
        for index, (who, values) in enumerate(panel.lines.items()):
            several = len(panel.lines)
            shift = 0.16 * (index - (several - 1) / 2) if several < 5 else 0.0
            own[who] = points(axis, np.arange(len(layers)) + shift, values, index, line=True)
        if len(together) == 1:  # one legend for all
            handles |= own
        elif len(own) > 1:
            beside(axis, own)
        if not panel.lines or not layers:
            say_empty(axis)
        shown = at + columns >= len(panels)
        name_layers(axis, layers, WIDTH / columns, shown)
        axis.margins(y=0.12)
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        if panel.percent:
            axis.yaxis.set_major_formatter(as_percent())
        name(axis, panel.title, "", panel.unit, columns)
    return finish(figure, path, handles if len(handles) > 1 else {}, note)


def matches_by_layer(
    path: Path,
    models: Mapping[str, Sequence[Interval]],
    layers: Sequence[str],
    title: str,
    note: str = "",
) -> Path:
    """Draw bars of the share of neurons that match, by layer, with models side by side.

    Args:
        path: The PNG file.
        models: By name, of each layer a share from 0 to 1 and the ends of its interval.
        layers: Names of the layers, in order.
        title: Stands above it.
        note: A remark above the legend.

    Raises:
        ValueError: If a model has not one value for each layer.
    """
    figure, (axis,) = grid(1, 1, 2.6)
    width = 0.78 / max(1, len(models))
    handles: dict[str, Any] = {}
    for index, (who, values) in enumerate(models.items()):
        data = intervals(values, len(layers))
        rows = np.arange(len(layers)) + (index - (len(models) - 1) / 2) * width
        bars = axis.bar(rows, data[0], 0.92 * width, color=colour(index))
        axis.errorbar(
            rows, data[0], data[1:], fmt="none", ecolor="black", elinewidth=0.9, capsize=2
        )
        handles[who] = bars
    if not models or not layers:
        say_empty(axis)
    name_layers(axis, layers, WIDTH)
    axis.set_ylim(bottom=0)
    axis.grid(visible=False, axis="x")
    axis.yaxis.set_major_formatter(as_percent())
    name(axis, title, "", "neurons that match", 1)
    return finish(figure, path, handles if len(models) > 1 else {}, note)


def pairs(
    path: Path,
    rows: Sequence[tuple[str, Mapping[str, Interval]]],
    title: str,
    unit: str,
    note: str = "",
    percent: bool = False,
) -> Path:
    """Draw a row of values with their intervals for each of several items.

    Args:
        path: The PNG file.
        rows: What each row is, and by name a value and the ends of its interval.
        title: Stands above it.
        unit: What the values are.
        note: A remark above the legend.
        percent: They are shares from 0 to 1.
    """
    shown = rows[:_MOST_ROWS]
    if len(shown) < len(rows):
        note = f"{note} The first {len(shown)} of {len(rows)} rows.".strip()
    figure, (axis,) = grid(1, 1, 0.75 + 0.25 * max(2, len(shown)))
    names = list(dict.fromkeys(who for _, values in shown for who in values))
    handles: dict[str, Any] = {}
    for index, who in enumerate(names):
        have = [(row, values[who]) for row, (_, values) in enumerate(shown) if who in values]
        shift = (index - (len(names) - 1) / 2) * min(0.22, 0.7 / len(names))
        where = np.array([row for row, _ in have]) + shift
        handles[who] = points(axis, where, [v for _, v in have], index, upright=False)
    if not shown:
        say_empty(axis)
    axis.set_yticks(range(len(shown)), [short(label) for label, _ in shown], parse_math=False)
    axis.set_ylim(max(len(shown), 1) - 0.5, -0.5)
    axis.margins(x=0.06)
    axis.xaxis.set_major_locator(MaxNLocator(7, steps=_STEPS))
    if percent:
        axis.xaxis.set_major_formatter(as_percent())
    name(axis, title, unit, "", 1)
    return finish(figure, path, handles if len(names) > 1 else {}, note)


def _stay_in_range(axis: Axes, panel: Panel) -> None:
    """Cut margins below 0 and above 100 %, if all values are shares."""
    values = [y for series in panel.series for y in series.y if np.isfinite(y)]
    if values and min(values) >= 0 and max(values) <= 1:
        low, high = axis.get_ylim()
        axis.set_ylim(max(low, -0.03), min(high, 1.06))
