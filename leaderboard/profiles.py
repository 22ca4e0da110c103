"""What a method's page shows of its neurons: means by layer, and the best and worst."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

import numpy as np

from benchmark.metrics.base import Floats
from leaderboard.board import Column
from leaderboard.neuron_tables import LayerSlice, NeuronTable
from milannotations.record import NeuronKey
from milannotations.untrusted_text import clean

EXAMPLES = 8  # best neurons of a split, and as many worst
ALL_EXAMPLES = 24  # best neurons of all splits together, but at least two of each
MAX_LAYERS = 60
WIDTH, PADDING = 220, 6  # of a drawing, in its own units


@dataclass(frozen=True)
class LayerMean:
    """A layer's mean with its normal 95 % interval.

    Attributes:
        layer: The layer.
        n: Number of its neurons that have a value.
        mean: Their mean.
        half: Half the width of the interval; None for a single neuron.
        at: Position of the mean in the drawing.
        at_low: Position of the interval's lower end.
        at_high: Position of its upper end.
    """

    layer: LayerSlice
    n: int
    mean: float
    half: float | None
    at: float = 0.0
    at_low: float = 0.0
    at_high: float = 0.0


@dataclass(frozen=True)
class NeuronExample:
    """A neuron, the method's description of it, and the neuron's address on the site."""

    key: NeuronKey
    text: str
    references: tuple[str, ...]
    value: float
    address: str


@dataclass(frozen=True)
class MethodProfile:
    """A method on one split.

    Attributes:
        split: The split.
        layers: Its layers, in the data's order, at most ``MAX_LAYERS``.
        left_out: How many more layers there are.
        chance: Position of the metric's chance level in the drawings; None if it is unknown.
        best: Neurons with the best values.
        worst: Those with the worst.
    """

    split: str
    layers: list[LayerMean]
    left_out: int
    chance: float | None
    best: list[NeuronExample]
    worst: list[NeuronExample]


def profile(
    table: NeuronTable, row: int, column: Column, examples: int = EXAMPLES
) -> MethodProfile | None:
    """Return a method's profile on a split; None where it has no values of the metric.

    Args:
        table: The split.
        row: The method's row on the board.
        column: A column of the metric whose values are shown.
        examples: How many of the best neurons, and as many of the worst.
    """
    values = table.values(row, column.key.metric)
    if values is None or np.isnan(values).all():
        return None
    means = _layer_means(table, values)
    layers, chance = _placed(means[:MAX_LAYERS], column.metric.chance)
    order = np.argsort(-values if column.metric.higher_is_better else values, kind="stable")
    order = order[~np.isnan(values[order])]
    count = min(examples, len(order) // 2)
    return MethodProfile(
        table.name,
        layers,
        len(means) - len(layers),
        chance,
        [_example(table, row, int(index), values) for index in order[:count]],
        [_example(table, row, int(index), values) for index in order[::-1][:count]],
    )


def _layer_means(table: NeuronTable, values: Floats) -> list[LayerMean]:
    means = []
    for layer in table.layers:
        own = values[layer.start : layer.stop]
        own = own[~np.isnan(own)]
        if len(own):
            half = float(1.96 * own.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else None
            means.append(LayerMean(layer, len(own), float(own.mean()), half))
    return means


def _placed(means: list[LayerMean], chance: float | None) -> tuple[list[LayerMean], float | None]:
    """Place means, and the chance level, on a scale that covers all of them."""
    ends = [m.mean + sign * (m.half or 0.0) for m in means for sign in (-1, 1)]
    if chance is not None:
        ends.append(chance)
    low, high = min(ends), max(ends)

    def position(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(PADDING + share * (WIDTH - 2 * PADDING), 1)

    placed = [
        replace(
            m,
            at=position(m.mean),
            at_low=position(m.mean - (m.half or 0.0)),
            at_high=position(m.mean + (m.half or 0.0)),
        )
        for m in means
    ]
    return placed, None if chance is None else position(chance)


def _example(table: NeuronTable, row: int, index: int, values: Floats) -> NeuronExample:
    method = table.methods[row]
    key = table.keys[index]
    return NeuronExample(
        key,
        (method.texts[index] if method else None) or "",
        table.references[index],
        float(values[index]),
        address(table.name, key),
    )


def address(split: str, key: NeuronKey) -> str:
    """Return the part of a neuron's address that follows ``neuron.html#``.

    >>> address("test", NeuronKey("net", "a/b", "conv1", 3))
    'test/net/a%2Fb/conv1/3'
    """
    return "/".join(quote(clean(str(component)), safe="") for component in (split, *key))
