"""Style of the figures of reports: sizes, colours, labels, legends and files.

Figures have the width of a sheet of paper, so that small print stays legible there.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from milannotations.storage import atomic_path
from milannotations.untrusted_text import clean

Interval: TypeAlias = "tuple[float, float, float]"  # a value and the ends of its interval

BLUE, GREY = "#0072B2", "#777777"
COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
WIDTH = 7.5  # inches
SMALL = 7.5  # points
_MARKERS = ("o", "s", "^", "D", "v", "P")
_TITLE = 8.5  # points
_DPI = 160
_NOTE = 118  # characters per line of the note below a figure
_LABEL = 34  # characters
_UPRIGHT = 28  # characters beside a plot
_LETTER = 0.065  # inches, on average, of a letter of a title


def colour(index: int) -> str:
    """Return the colour of the series with this index."""
    return COLOURS[index % len(COLOURS)]


def short(text: str, limit: int = _LABEL) -> str:
    """Return a text as a one-line label without invisible characters, its middle elided if long.

    The end is kept, because it tells the names of layers apart.
    """
    line = " ".join(clean(text).split())
    if len(line) <= limit:
        return line
    end = limit // 2
    return f"{line[: limit - 1 - end].rstrip()}…{line[-end:].lstrip()}"


def fitting(count: int, columns: int) -> int:
    """Return the number of columns, at most ``columns``, that fills the rows of plots best."""
    rows = math.ceil(count / max(1, columns))
    return math.ceil(count / rows) if rows else 1


def grid(
    count: int, columns: int, height: float, same_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``count`` plots, at least one, of ``height`` inches each."""
    columns = fitting(count, columns)
    rows = math.ceil(max(1, count) / columns)
    figure = Figure(figsize=(WIDTH, rows * height + 0.6), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=same_y).flat)
    for index, axis in enumerate(axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(GREY)
        axis.grid(alpha=0.25, linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=SMALL, color=GREY, length=2.5)
        if index >= max(1, count):
            axis.set_visible(False)
    return figure, axes[: max(1, count)]


def name(axis: Axes, title: str, x: str, y: str, columns: int) -> None:
    """Set the title and axis labels of a plot; dollar signs in them do not start formulas."""
    letters = int((WIDTH / columns - 0.45) / _LETTER)
    lines = textwrap.wrap(short(title, 2 * letters - 4), letters)
    options: dict[str, Any] = {"parse_math": False, "fontsize": SMALL}
    axis.set_title("\n".join(lines), loc="left", parse_math=False, fontsize=_TITLE)
    axis.set_xlabel(short(x, letters), **options)
    axis.set_ylabel(short(y, _UPRIGHT), **options)


def name_layers(axis: Axes, layers: Sequence[str], width: float, shown: bool = True) -> None:
    """Write layer names below a plot of a width in inches: slanted, or vertical if many."""
    names = [short(text, 18) if shown else "" for text in layers]
    space = (width - 0.6) / max(1, len(layers))  # inches of one
    flat = all(len(text) * _LETTER < 0.9 * space for text in names)
    steep = space < 0.22
    axis.set_xticks(
        range(len(layers)),
        names,
        parse_math=False,
        rotation=0 if flat else 90 if steep else 40,
        ha="center" if flat else "right",
        rotation_mode="default" if flat else "anchor",
        va="center" if steep and not flat else "top",
    )
    axis.set_xlim(-0.5, max(1, len(layers)) - 0.5)
    if steep:
        axis.grid(visible=False, axis="x")


def points(
    axis: Axes,
    where: np.ndarray,
    values: Sequence[Interval],
    index: int,
    *,
    line: bool = False,
    upright: bool = True,
) -> Any:
    """Draw values with their intervals, in the style of the series with this index."""
    data = intervals(values, len(where))
    across, up = (where, data[0]) if upright else (data[0], where)
    return axis.errorbar(
        across,
        up,
        yerr=data[1:] if upright else None,
        xerr=None if upright else data[1:],
        color=colour(index),
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=4,
        linestyle="-" if line else "none",
        linewidth=1.2,
        elinewidth=1.1,
        capsize=1.5,
    )


def intervals(values: Sequence[Interval], count: int) -> np.ndarray:
    """Return values, and the distances to the ends of their intervals, float64 (3, count).

    Raises:
        ValueError: If the number of values is not ``count``.
    """
    if len(values) != count:
        raise ValueError(f"{len(values)} values for {count} places")
    value, low, high = np.asarray(values, dtype=float).reshape(count, 3).T
    return np.stack([value, np.maximum(value - low, 0), np.maximum(high - value, 0)])


def as_percent() -> FuncFormatter:
    """Return a formatter of ticks that writes shares as percentages."""
    return FuncFormatter(lambda share, _: f"{100 * share:.4g}%")


def say_empty(axis: Axes) -> None:
    """Write "no data" into a plot."""
    axis.tick_params(labelbottom=False, labelleft=False, length=0)
    axis.grid(visible=False)
    axis.text(
        0.5,
        0.5,
        "no data",
        ha="center",
        va="center",
        color=GREY,
        transform=axis.transAxes,
        fontsize=SMALL,
    )


def beside(axis: Axes, handles: Mapping[str, Any]) -> None:
    """Put a legend beside a plot, if plots have different series."""
    legend = axis.legend(
        list(handles.values()),
        [short(label, 16) for label in handles],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.06),
        frameon=False,
        fontsize=SMALL,
        handlelength=1.6,
        borderaxespad=0.2,
        labelspacing=0.25,
        handletextpad=0.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def finish(figure: Figure, path: Path, handles: Mapping[str, Any], note: str) -> Path:
    """Add the legend and the note below a figure, and write it as PNG."""
    remark = "\n".join(textwrap.wrap(clean(note), _NOTE))
    if handles or remark:
        names = [short(label, 44) for label in handles]
        legend = figure.legend(
            list(handles.values()),
            # A leading underscore would hide an entry.
            [f" {label}" if label.startswith("_") else label for label in names],
            loc="outside lower center",
            ncols=_columns(names),
            frameon=False,
            fontsize=SMALL,
            title=remark or None,
            title_fontsize=SMALL,
            alignment="center",
            handlelength=2.6,
            columnspacing=1.6,
            borderaxespad=0.2,
        )
        for text in [*legend.get_texts(), legend.get_title()]:
            text.set_parse_math(False)
        legend.get_title().set_color("#444444")
    with atomic_path(path) as partial, _quiet():
        # Without the library's version, so that the same numbers give the same file.
        figure.savefig(partial, format="png", dpi=_DPI, metadata={"Software": None})
    return path


def _columns(names: Sequence[str]) -> int:
    """Return the number of legend entries that fit on a line."""
    if not names:
        return 1
    return max(1, min(len(names), int(WIDTH / (max(map(len, names)) * 0.058 + 0.6))))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # Scripts that the font lacks are drawn as boxes; the user can do nothing about it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
