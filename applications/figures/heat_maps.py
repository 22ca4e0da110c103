"""Heat maps with the numbers in their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from numpy.typing import NDArray

from applications.figures.style import SMALL, finish, grid, name, say_empty, short

_DARK = 0.6  # numbers above this share of the greatest value are white
_MAP = "PuOr"  # purple and orange, safe for the colour-blind; white at 0


@dataclass(frozen=True)
class HeatMap:
    """A table of numbers.

    Attributes:
        title: Stands above it.
        columns: Names of the columns.
        values: float64 (rows, columns); 0 is white.
    """

    title: str
    columns: Sequence[str]
    values: NDArray[np.float64]


def heat_maps(path: Path, grids: Sequence[HeatMap], rows: Sequence[str], unit: str) -> Path:
    """Draw tables of numbers side by side, on one scale of colours.

    Args:
        path: The PNG file.
        grids: The tables, with the same rows.
        rows: Names of the rows.
        unit: What the numbers are.

    Raises:
        ValueError: If a table has another number of rows.
    """
    wrong = [
        table.title for table in grids if table.values.shape != (len(rows), len(table.columns))
    ]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: tables need {len(rows)} rows and named columns")
    figure, axes = grid(len(grids), max(1, len(grids)), 1.15 + 0.17 * max(1, len(rows)))
    if not grids or not rows:
        say_empty(axes[0])
        return finish(figure, path, {}, "")
    most = max(1.0, *(float(np.abs(table.values).max()) for table in grids))
    norm = TwoSlopeNorm(0.0, -most, most)
    for number, (axis, table) in enumerate(zip(axes, grids, strict=True)):
        picture = axis.imshow(table.values, cmap=_MAP, norm=norm, aspect="auto")
        axis.grid(visible=False)
        axis.set_xticks(
            range(len(table.columns)),
            [short(text, 20) for text in table.columns],
            rotation=40,
            ha="right",
            rotation_mode="anchor",
            parse_math=False,
        )
        labels = [short(text, 26) for text in rows] if number == 0 else []
        axis.set_yticks(range(len(rows)), labels or [""] * len(rows), parse_math=False)
        for row, column in np.ndindex(table.values.shape):
            value = table.values[row, column]
            axis.text(
                column,
                row,
                f"{round(float(value)):+d}",
                ha="center",
                va="center",
                fontsize=SMALL - 1.5,
                color="white" if abs(value) > _DARK * most else "black",
            )
        name(axis, table.title, "", "", len(grids))
    bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.02)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label(unit, fontsize=SMALL)
    return finish(figure, path, {}, "")
