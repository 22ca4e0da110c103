"""Which units matter, by a property of their descriptions.

As in section 5 of the MILAN paper, units are ablated in the order of a property of their
descriptions, and accuracy is compared with that of as many units ablated in random order. Either
the units with the highest values of the property come first, or those with the lowest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from applications.ablation_schedule import AblationSchedule
from applications.labelled import AblationEvaluator, ClassImages, Floats
from benchmark.significance import ALPHA, holm
from milannotations.ablation import LayerUnit, grouped
from milannotations.errors import InputError

Order = Literal["network", "layer"]
Direction = Literal["highest", "lowest"]
Integers = NDArray[np.int64]
RANDOM = "random"


@dataclass(frozen=True)
class AblationCurve:
    """Accuracy as units are ablated in the order of one property.

    Attributes:
        name: The property.
        order: ``network``: over all layers together; ``layer``: the same share of each layer.
        direction: Which units come first: those ``highest`` in the property, or the ``lowest``.
            It has no meaning for random orders.
        fractions: Shares of the units that are ablated, ascending from 0.
        accuracy: Accuracy at each fraction, the mean over several orders of units that tie.
        spread: Lowest and highest accuracy over those orders; for random orders, the 2.5 and 97.5
            percentiles.
        area: Mean accuracy over all fractions but 0.
        difference: ``area`` minus that of random orders.
        p: Two-sided p-value for the area being that of one more random order, from Student's t
            prediction interval, which assumes that the areas are normal. If units tie, the area is
            a mean over several orders, and p is conservative.
        adjusted: ``p`` after Holm's correction for all properties and directions of an order.
        values: Number of distinct values of the property.
        by_class: For each class, in the order of the folders, the accuracy on its images at each
            fraction.
    """

    name: str
    order: Order
    direction: Direction
    fractions: tuple[float, ...]
    accuracy: tuple[float, ...]
    spread: tuple[tuple[float, float], ...]
    area: float
    difference: float
    p: float
    adjusted: float
    values: int
    by_class: tuple[tuple[float, ...], ...]

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value is below the level of all tests."""
        return self.adjusted < ALPHA


def directions_of(first: str) -> tuple[Direction, ...]:
    """Return the directions that an option names: ``highest``, ``lowest`` or ``both``.

    >>> directions_of("both")
    ('highest', 'lowest')

    Raises:
        InputError: If it names none.
    """
    directions: tuple[Direction, ...] = get_args(Direction)
    if first == "both":
        return directions
    chosen = tuple(direction for direction in directions if direction == first)
    if not chosen:
        raise InputError(f"--first {first!r}; choose highest, lowest or both")
    return chosen


def importance(
    evaluator: AblationEvaluator,
    images: ClassImages,
    units: Sequence[LayerUnit],
    properties: pd.DataFrame,
    schedule: AblationSchedule,
    orders: Sequence[Order] = get_args(Order),
    directions: Sequence[Direction] = get_args(Direction),
) -> list[AblationCurve]:
    """Ablate units in the order of each property.

    A property may seem to matter only because it is frequent in layers that do. The order
    ``layer``, which takes the same share of each layer, excludes this.

    Args:
        evaluator: Measures the network.
        images: Labelled images.
        units: The described units.
        properties: A column per property, a row per unit.
        schedule: Fractions, and numbers of random orders.
        orders: Over all layers together, or layer by layer.
        directions: The highest first, or the lowest.

    Returns:
        For each order, the curve of random orders, then one for each direction and property.
    """
    return [
        curve
        for order in orders
        for curve in _of(order, evaluator, images, units, properties, schedule, directions)
    ]


def _of(
    order: Order,
    evaluator: AblationEvaluator,
    images: ClassImages,
    units: Sequence[LayerUnit],
    properties: pd.DataFrame,
    schedule: AblationSchedule,
    directions: Sequence[Direction],
) -> list[AblationCurve]:
    layers = np.array([layer for layer, _ in units])
    rng = np.random.default_rng((schedule.seed, len(order)))
    fractions = np.linspace(0, schedule.fraction, schedule.steps + 1)
    no_values = np.zeros(len(units))
    ranked = [ranks(no_values, layers, order, rng) for _ in range(schedule.trials)]
    rows: dict[tuple[str, Direction], list[int]] = {}
    for direction in directions:
        for name in properties:
            values = properties[name].to_numpy(dtype=float)
            repeats = schedule.ties if len(np.unique(values)) < len(values) else 1
            signed = values if direction == "highest" else -values
            rows[name, direction] = list(range(len(ranked), len(ranked) + repeats))
            ranked += [ranks(signed, layers, order, rng) for _ in range(repeats)]
    ablations = [
        grouped(units[i] for i in chosen)
        for row in ranked
        for chosen in nested(row, layers, order, fractions)
    ]
    results = evaluator.measure(images, ablations, f"Ablating by {order}")
    curves = results.accuracy.reshape(len(ranked), len(fractions))
    by_class = class_accuracy(results.correct, images).reshape(len(ranked), len(fractions), -1)
    random, random_by_class = curves[: schedule.trials], by_class[: schedule.trials]
    chance = random[:, 1:].mean(1)
    measured = []
    for (name, direction), own_rows in rows.items():
        own = curves[own_rows]
        area = float(own[:, 1:].mean())
        measured.append(
            AblationCurve(
                name,
                order,
                direction,
                tuple(fractions),
                tuple(own.mean(0)),
                _quantiles(own, (0, 1)),
                area,
                area - float(chance.mean()),
                predicted(area, chance),
                float("nan"),
                int(properties[name].nunique()),
                _by_class(by_class[own_rows]),
            )
        )
    adjusted = holm([curve.p for curve in measured])
    by_chance = AblationCurve(
        RANDOM,
        order,
        "highest",
        tuple(fractions),
        tuple(random.mean(0)),
        _quantiles(random, (0.025, 0.975)),
        float(chance.mean()),
        0.0,
        float("nan"),
        float("nan"),
        0,
        _by_class(random_by_class),
    )
    return [
        by_chance,
        *(replace(curve, adjusted=value) for curve, value in zip(measured, adjusted, strict=True)),
    ]


def class_accuracy(correct: NDArray[np.float32], images: ClassImages) -> Floats:
    """Return the accuracy on the images of each class.

    Args:
        correct: 1 for each image that is classified correctly, else 0, (ablations, images).
        images: The images.

    Returns:
        float64 (ablations, classes), classes in the order of their folders.
    """
    labels = images.labels.numpy()
    columns = [correct[:, labels == index].mean(1, dtype=np.float64) for index in images.indices]
    return np.stack(columns, axis=1)


def _by_class(curves: Floats) -> tuple[tuple[float, ...], ...]:
    """Return, for each class, the mean over curves at each fraction.

    Args:
        curves: Accuracies, (curves, fractions, classes).
    """
    return tuple(tuple(values) for values in curves.mean(0).T.tolist())


def predicted(value: float, drawn: Floats) -> float:
    """Return a two-sided p-value for a value being one more draw, by Student's t.

    Args:
        value: The value.
        drawn: At least two draws.

    >>> round(predicted(3.0, np.array([0.0, 1.0, 2.0])), 3)
    0.225
    """
    gap = abs(value - float(drawn.mean()))
    scale = float(drawn.std(ddof=1)) * np.sqrt(1 + 1 / len(drawn))
    if gap < 1e-12:
        return 1.0
    # If the draws do not vary, a value that differs from them is none.
    return float(2 * stats.t.sf(gap / scale, len(drawn) - 1)) if scale > 0 else 0.0


def ranks(
    values: Floats, layers: NDArray[np.str_], order: Order, rng: np.random.Generator
) -> Integers:
    """Return the indices of units, highest value first, with ties in random order.

    With the order ``layer``, the units of each layer are contiguous.
    """
    keys: list[NDArray[np.generic]] = [rng.random(len(values)), -values]
    if order == "layer":
        keys.append(np.unique(layers, return_inverse=True)[1])
    return np.lexsort(keys)


def nested(
    ranked: Integers, layers: NDArray[np.str_], order: Order, fractions: Floats
) -> list[Integers]:
    """Return the units that are ablated at each fraction: the first of all, or of each layer."""
    if order == "network":
        return [ranked[: round(fraction * len(ranked))] for fraction in fractions]
    of_layer = [ranked[layers[ranked] == layer] for layer in dict.fromkeys(layers[ranked])]
    return [
        np.concatenate([members[: round(fraction * len(members))] for members in of_layer])
        for fraction in fractions
    ]


def _quantiles(curves: Floats, at: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    low, high = np.quantile(curves, at, axis=0)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def importance_table(curves: Sequence[AblationCurve], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return a row per property, order and direction."""
    return pd.DataFrame(
        [
            [
                titles.get(c.name, c.name),
                c.order,
                c.direction,
                c.values,
                c.area,
                c.difference,
                c.p,
                c.adjusted,
            ]
            for c in curves
            if c.name != RANDOM
        ],
        columns=[
            "property",
            "order",
            "direction",
            "values",
            "accuracy",
            "difference",
            "p",
            "p_holm",
        ],
    )


def curve_table(curves: Sequence[AblationCurve]) -> pd.DataFrame:
    """Return a row per property, order, direction and fraction: what is drawn."""
    return pd.DataFrame(
        [
            [curve.name, curve.order, _direction(curve), fraction, value, low, high]
            for curve in curves
            for fraction, value, (low, high) in zip(
                curve.fractions, curve.accuracy, curve.spread, strict=True
            )
        ],
        columns=["property", "order", "direction", "fraction", "accuracy", "low", "high"],
    )


def _direction(curve: AblationCurve) -> str:
    return "" if curve.name == RANDOM else curve.direction
