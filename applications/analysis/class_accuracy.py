"""Accuracy on each class as units are ablated: which classes depend on which units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from applications.analysis.property_importance import RANDOM, AblationCurve, Order
from applications.figures.heat_maps import HeatMap, heat_maps
from applications.labelled import ClassImages

Floats = NDArray[np.float64]
_SHOWN = 24  # classes in the figure and the table
_TITLES = {"highest": "Highest first", "lowest": "Lowest first"}


@dataclass(frozen=True)
class ClassCounts:
    """The classes of labelled images.

    Attributes:
        names: Names of the classes, in the order of ``AblationCurve.by_class``.
        images: Number of images of each class.
    """

    names: tuple[str, ...]
    images: tuple[int, ...]


def classes_in(images: ClassImages) -> ClassCounts:
    """Return the classes of labelled images."""
    counts = (int((images.labels == index).sum()) for index in images.indices)
    return ClassCounts(images.classes, tuple(counts))


def class_table(curves: Sequence[AblationCurve], classes: ClassCounts) -> pd.DataFrame:
    """Return a row per property, order, direction, class and fraction of ablated units."""
    return pd.DataFrame(
        [
            [
                curve.name,
                curve.order,
                "" if curve.name == RANDOM else curve.direction,
                name,
                images,
                fraction,
                round(value, 6),
            ]
            for curve in curves
            for name, images, values in zip(
                classes.names, classes.images, curve.by_class, strict=True
            )
            for fraction, value in zip(curve.fractions, values, strict=True)
        ],
        columns=["property", "order", "direction", "class", "images", "fraction", "accuracy"],
    )


def differences(
    curves: Sequence[AblationCurve], order: Order, direction: str
) -> tuple[list[str], Floats]:
    """Return how much accuracy on each class differs from that of random orders.

    Args:
        curves: From ``importance``.
        order: The order.
        direction: The direction.

    Returns:
        The properties; and for each class and property the mean over all fractions but 0 of the
        accuracy minus that of random orders, -1 to 1, float64 (classes, properties).
    """
    some = [curve for curve in curves if curve.order == order]
    chance = _areas(next(curve for curve in some if curve.name == RANDOM))
    own = [curve for curve in some if curve.name != RANDOM and curve.direction == direction]
    if not own:
        return [], np.zeros((len(chance), 0))
    return [c.name for c in own], np.stack([_areas(c) - chance for c in own], axis=1)


def class_rows(
    curves: Sequence[AblationCurve], order: Order, classes: ClassCounts, titles: Mapping[str, str]
) -> list[list[str]]:
    """Return table rows: classes, each with the property whose ablation costs it most.

    Columns are class, images, accuracy, accuracy while random units are ablated, and for each
    direction the property with the greatest loss against random orders and that loss in points;
    dashes if no property costs more than random orders.
    """
    random = next(c for c in curves if c.order == order and c.name == RANDOM)
    chance = _areas(random)
    directions = list(dict.fromkeys(c.direction for c in curves if c.name != RANDOM))
    by_direction = {direction: differences(curves, order, direction) for direction in directions}
    rows = []
    for index in shown(curves, order):
        row = [
            classes.names[index],
            f"{classes.images[index]:,}",
            f"{100 * random.by_class[index][0]:.1f} %",
            f"{100 * chance[index]:.1f} %",
        ]
        for names, gaps in by_direction.values():
            least = int(gaps[index].argmin())
            worst = f"{100 * gaps[index, least]:+.1f}"
            lost = float(worst) < 0
            row += [titles.get(names[least], names[least]), worst] if lost else ["—", "—"]
        rows.append(row)
    return rows


def shown(curves: Sequence[AblationCurve], order: Order) -> list[int]:
    """Return the indices of the classes to show: those that differ most from random orders."""
    directions = dict.fromkeys(c.direction for c in curves if c.name != RANDOM)
    gaps = np.concatenate([differences(curves, order, d)[1] for d in directions], axis=1)
    most = np.argsort(-np.abs(gaps).max(1), kind="stable")[:_SHOWN]
    return sorted(most.tolist())


def draw_classes(
    path: Path,
    curves: Sequence[AblationCurve],
    order: Order,
    classes: ClassCounts,
    titles: Mapping[str, str],
) -> Path:
    """Draw, for each direction, how accuracy on each class differs from that of random orders."""
    indices = shown(curves, order)
    grids = []
    for direction, title in _TITLES.items():
        names, gaps = differences(curves, order, direction)
        if names:
            grids.append(
                HeatMap(title, [titles.get(name, name) for name in names], 100 * gaps[indices])
            )
    return heat_maps(path, grids, [classes.names[i] for i in indices], "points of accuracy")


def _areas(curve: AblationCurve) -> Floats:
    return np.array([np.mean(values[1:]) for values in curve.by_class])
