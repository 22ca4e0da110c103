"""Lines of what happens as more and more units are ablated."""

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
class Line:
    """A line of a panel.

    Attributes:
        name: In the legend; the same name looks the same in every panel.
        x: Numbers of units, ascending.
        y: Values there, such as accuracies from 0 to 1.
        low: Lower ends of the band around it.
        high: Upper ends.
        kind: ``method`` is what the report is about, ``random`` what chance would do.
        marks: Points to emphasize, by x: a short text each.

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


def looks_of(series: Iterable[Line]) -> dict[str, dict[str, Any]]:
    """Choose how each name is drawn, the same in all panels."""
    looks: dict[str, dict[str, Any]] = {}
    others = 0
    for one in series:
        if one.name in looks:
            continue
        if one.kind == "method":
            looks[one.name] = {"color": BLUE, "linewidth": 2.2, "zorder": 4}
        elif one.kind == "random":
            looks[one.name] = {"color": GREY, "linewidth": 1.3, "zorder": 2}
        else:
            looks[one.name] = {
                "color": COLOURS[1 + others % (len(COLOURS) - 1)],
                "linewidth": 1.2,
                "linestyle": _DASHES[others % len(_DASHES)],
                "zorder": 3,
            }
            others += 1
    return looks


def draw_line(axis: Axes, series: Line, look: Mapping[str, Any]) -> Any:
    """Draw a line and its band, and return what stands for it in a legend."""
    (line,) = axis.plot(series.x, series.y, **look, marker="o" if len(series.x) == 1 else "")
    if series.low is None or series.high is None:
        return line
    alpha = 0.28 if series.kind == "random" else 0.15
    band = axis.fill_between(
        series.x, series.low, series.high, color=look["color"], alpha=alpha, linewidth=0, zorder=1
    )
    return line, band


def mark_points(axis: Axes, series: Line, beside: Sequence[Line], shade: str) -> None:
    """Emphasize the marked points of a line; call this when the axes have their limits.

    A text goes to the side on which fewer of the lines beside it are, and away from its own line.
    """
    if not len(series.x):
        return
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    step = 0.1 * (right - left)
    for x, label in (series.marks or {}).items():
        y = _at(series, x)
        others = [_at(one, x) for one in beside if one is not series and len(one.x)]
        up = sum(other >= y for other in others) <= sum(other < y for other in others)
        slope = (_at(series, x + step) - _at(series, x - step)) / (top - bottom) / 0.2
        side = "center" if abs(slope) < _FLAT else "left" if (slope < 0) == up else "right"
        place = (x - left) / (right - left)
        if place < 0.25:
            side = "left"
        elif place > 0.75:
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


def _at(series: Line, x: float) -> float:
    return float(np.interp(x, series.x, series.y))
