"""Which units matter, by what is said of them: ablation in the order of a property.

MILAN paper, section 5: units are ablated in the order of a property of their descriptions, and
accuracy is compared with that of as many units ablated in random order. Either the units highest in
the property come first, or the lowest.
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
from milannotations.ablation import Unit, grouped
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
        order: ``network``: over all layers together; ``layer``: as large a share of each layer.
        direction: Which units come first: those ``highest`` in the property, or the ``lowest``.
            That of random orders means nothing.
        fractions: Shares of the units that are ablated.
        accuracy: Accuracy at each, the mean over ways of ordering units that are alike.
        spread: Least and greatest of those, or of the random orders 2.5 and 97.5 %.
        area: Mean accuracy over all fractions but 0.
        difference: ``area`` minus that of random orders.
        p: Two-sided: could the area be that of one more random order? By Student's t for a
            prediction from those that were drawn, which takes their areas as normal. For units
            that are alike in the property it is the mean over several orders, and p too large.
        adjusted: The same for all properties and directions of an order (Holm).
        values: How many different values the property has.
        by_class: For each class of the images, in the order of their folders, the accuracy on its
            images at each fraction.
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
    bench: AblationEvaluator,
    images: ClassImages,
    units: Sequence[Unit],
    properties: pd.DataFrame,
    plan: AblationSchedule,
    orders: Sequence[Order] = get_args(Order),
    directions: Sequence[Direction] = get_args(Direction),
) -> list[AblationCurve]:
    """Ablate units in the order of each property.

    A property may matter only because it is frequent in layers that matter: the order ``layer``,
    which takes as large a share of each layer, tells.

    Args:
        bench: Measures the network.
        images: Labelled images.
        units: The described units.
        properties: A column per property, a row per unit.
        plan: How.
        orders: Over all layers together, or layer by layer.
        directions: The highest first, or the lowest.

    Returns:
        For each order the curve of random orders, then one for each direction and property.
    """
    return [
        curve
        for order in orders
        for curve in _of(order, bench, images, units, properties, plan, directions)
    ]


def _of(
    order: Order,
    bench: AblationEvaluator,
    images: ClassImages,
    units: Sequence[Unit],
    properties: pd.DataFrame,
    plan: AblationSchedule,
    directions: Sequence[Direction],
) -> list[AblationCurve]:
    layers = np.array([layer for layer, _ in units])
    rng = np.random.default_rng((plan.seed, len(order)))
    fractions = np.linspace(0, plan.fraction, plan.steps + 1)
    nothing = np.zeros(len(units))
    jobs = [(RANDOM, "", ranks(nothing, layers, order, rng)) for _ in range(plan.trials)]
    for direction in directions:
        for name in properties:
            values = properties[name].to_numpy(dtype=float)
            repeats = plan.ties if len(np.unique(values)) < len(values) else 1
            signed = values if direction == "highest" else -values
            jobs += [(name, direction, ranks(signed, layers, order, rng)) for _ in range(repeats)]
    ablations = [
        grouped(units[i] for i in chosen)
        for *_, ranked in jobs
        for chosen in nested(ranked, layers, order, fractions)
    ]
    outcome = bench.measure(images, ablations, f"Ablating by {order}")
    curves = outcome.accuracy.reshape(len(jobs), len(fractions))
    of_classes = class_accuracy(outcome.correct, images).reshape(len(jobs), len(fractions), -1)
    random = curves[: plan.trials]
    chance = random[:, 1:].mean(1)
    measured = []
    for direction in directions:
        for name in properties:
            rows = [i for i, (*job, _) in enumerate(jobs) if job == [name, direction]]
            own = curves[rows]
            area = float(own[:, 1:].mean())
            measured.append(
                AblationCurve(
                    name,
                    order,
                    direction,
                    tuple(fractions),
                    tuple(own.mean(0)),
                    _extremes(own, (0, 1)),
                    area,
                    area - float(chance.mean()),
                    predicted(area, chance),
                    float("nan"),
                    int(properties[name].nunique()),
                    _by_class(of_classes[rows]),
                )
            )
    adjusted = holm([curve.p for curve in measured])
    by_chance = AblationCurve(
        RANDOM,
        order,
        "highest",
        tuple(fractions),
        tuple(random.mean(0)),
        _extremes(random, (0.025, 0.975)),
        float(chance.mean()),
        0.0,
        float("nan"),
        float("nan"),
        0,
        _by_class(of_classes[: plan.trials]),
    )
    return [
        by_chance,
        *(replace(curve, adjusted=value) for curve, value in zip(measured, adjusted, strict=True)),
    ]


def class_accuracy(correct: NDArray[np.float32], images: ClassImages) -> Floats:
    """Return the accuracy on the images of each class.

    Args:
        correct: Whether each image was told right, (ablations, images).
        images: The images.

    Returns:
        float64 (ablations, classes), classes in the order of their folders.
    """
    labels = images.labels.numpy()
    columns = [correct[:, labels == index].mean(1, dtype=np.float64) for index in images.indices]
    return np.stack(columns, axis=1)


def _by_class(curves: Floats) -> tuple[tuple[float, ...], ...]:
    """Return for each class the mean over curves at each fraction.

    Args:
        curves: Accuracies, (curves, fractions, classes).
    """
    return tuple(tuple(values) for values in curves.mean(0).T.tolist())


def predicted(value: float, drawn: Floats) -> float:
    """Return a two-sided p-value for a value being another draw, by Student's t.

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
    # Where random orders do not vary a value apart from them is no draw.
    return float(2 * stats.t.sf(gap / scale, len(drawn) - 1)) if scale > 0 else 0.0


def ranks(
    values: Floats, layers: NDArray[np.str_], order: Order, rng: np.random.Generator
) -> Integers:
    """Return the units' places, highest value first, those that are alike in random order.

    With the order ``layer`` the units of each layer come together.
    """
    keys: list[NDArray[np.generic]] = [rng.random(len(values)), -values]
    if order == "layer":
        keys.append(np.unique(layers, return_inverse=True)[1])
    return np.lexsort(keys)


def nested(
    ranked: Integers, layers: NDArray[np.str_], order: Order, fractions: Floats
) -> list[Integers]:
    """Return which units are ablated at each fraction: the first of all, or of each layer."""
    if order == "network":
        return [ranked[: round(fraction * len(ranked))] for fraction in fractions]
    of_layer = [ranked[layers[ranked] == layer] for layer in dict.fromkeys(layers[ranked])]
    return [
        np.concatenate([members[: round(fraction * len(members))] for members in of_layer])
        for fraction in fractions
    ]


def _extremes(curves: Floats, at: tuple[float, float]) -> tuple[tuple[float, float], ...]:
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
