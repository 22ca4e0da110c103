"""Line plots of accuracy against the number of ablated units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from applications.figures.style import BLUE, COLOURS, GREY, SMALL, short

_DASHES: tuple[Any, ...] = ((0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)))
_HALO = [withStroke(linewidth=2, foreground="white")]
_FLAT = 0.15  # slope on the plot, as a share of its height over its width


@dataclass(frozen=True)
class PlotLine:
    """A line of a panel.

    >>> PlotLine("random order", [0, 1, 2], [0.9, 0.8, 0.5]).kind
    'other'

    Attributes:
        name: Name in the legend; lines of one name look the same in every panel.
        x: Numbers of units, ascending.
        y: Values there, such as accuracies from 0 to 1.
        low: Lower ends of the band around it.
        high: Upper ends.
        kind: ``method`` for the subject of the report, ``random`` for chance.
        marks: Short texts for points to emphasize, by x.

    Raises:
        ValueError: If they are not equally long.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    kind: Literal["method", "random", "other"] = "other"
    marks: Mapping[float, str] | None = None

    def __post_init__(self) -> None:
        lengths = {len(v) for v in (self.x, self.y, self.low, self.high) if v is not None}
        if len(lengths) > 1 or (self.low is None) != (self.high is None):
            raise ValueError(f"x, y, low and high of {self.name!r} must be equally long")


def looks_of(series: Iterable[PlotLine]) -> dict[str, dict[str, Any]]:
    """Return the style of each name, the same in all panels."""
    looks: dict[str, dict[str, Any]] = {}
    others = 0
    for line in series:
        if line.name in looks:
            continue
        if line.kind == "method":
            looks[line.name] = {"color": BLUE, "linewidth": 2.2, "zorder": 4}
        elif line.kind == "random":
            looks[line.name] = {"color": GREY, "linewidth": 1.3, "zorder": 2}
        else:
            looks[line.name] = {
                "color": COLOURS[1 + others % (len(COLOURS) - 1)],
                "linewidth": 1.2,
                "linestyle": _DASHES[others % len(_DASHES)],
                "zorder": 3,
            }
            others += 1
    return looks


def draw_line(axis: Axes, series: PlotLine, look: Mapping[str, Any]) -> Any:
    """Draw a line and its band, and return its legend handle."""
    (line,) = axis.plot(series.x, series.y, **look, marker="o" if len(series.x) == 1 else "")
    if series.low is None or series.high is None:
        return line
    alpha = 0.28 if series.kind == "random" else 0.15
    band = axis.fill_between(
        series.x, series.low, series.high, color=look["color"], alpha=alpha, linewidth=0, zorder=1
    )
    return line, band


def mark_points(axis: Axes, series: PlotLine, beside: Sequence[PlotLine], shade: str) -> None:
    """Emphasize the marked points of a line, after the limits of the axes are set.

    A text goes to the side with fewer other lines, and away from its own line.
    """
    if not len(series.x):
        return
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    step = 0.1 * (right - left)
    for x, label in (series.marks or {}).items():
        y = _at(series, x)
        others = [_at(line, x) for line in beside if line is not series and len(line.x)]
        up = sum(other >= y for other in others) <= sum(other < y for other in others)
        slope = (_at(series, x + step) - _at(series, x - step)) / (top - bottom) / 0.2
        side = "center" if abs(slope) < _FLAT else "left" if (slope < 0) == up else "right"
        position = (x - left) / (right - left)
        if position < 0.25:
            side = "left"
        elif position > 0.75:
            side = "right"
        shift = {"left": 3, "center": 0, "right": -3}[side]
        axis.plot([x], [y], "o", color=shade, markeredgecolor="white", markersize=5.5, zorder=5)
        axis.annotate(
            short(label, 24),
            (x, y),
            (shift, 5 if up else -5),
            textcoords="offset points",
            ha=side,
            va="bottom" if up else "top",
            fontsize=SMALL - 0.5,
            color=shade,
            zorder=6,
            path_effects=_HALO,
            parse_math=False,
        )


def _at(series: PlotLine, x: float) -> float:
    return float(np.interp(x, series.x, series.y))
