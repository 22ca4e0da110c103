"""What a method's page shows of its neurons: means by layer, and the best and worst."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from leaderboard.tables import Group, SplitTable
from milannotations.record import NeuronKey
from milannotations.untrusted_text import clean

EXAMPLES = 8  # best neurons of a split, and as many worst
ALL_EXAMPLES = 24  # best neurons of all splits, but of each at least two
MAX_LAYERS = 60
WIDTH, PADDING = 220, 6  # of a drawing, in its own units


@dataclass(frozen=True)
class LayerMean:
    """A layer's mean with its 95 % interval (normal), also as positions in a drawing.

    ``low`` and ``high`` are None where one neuron is all there is.
    """

    layer: Group
    n: int
    mean: float
    low: float | None
    high: float | None
    at: float
    at_low: float
    at_high: float


@dataclass(frozen=True)
class Example:
    """A neuron, what the method said of it, and the neuron's address on the site."""

    key: NeuronKey
    text: str
    references: tuple[str, ...]
    value: float
    address: str


@dataclass(frozen=True)
class Profile:
    """A method on one split.

    Attributes:
        split: The split.
        layers: Its layers, in the data's order, at most ``MAX_LAYERS``.
        left_out: How many more there are.
        chance: Position of the metric's chance level in the drawings, if it is known and in them.
        best: Neurons with the highest values, where higher is better.
        worst: Those with the lowest.
    """

    split: str
    layers: list[LayerMean]
    left_out: int
    chance: float | None
    best: list[Example]
    worst: list[Example]


def profile(
    table: SplitTable,
    metric: str,
    at: int,
    chance: float | None,
    higher_is_better: bool = True,
    examples: int = EXAMPLES,
) -> Profile | None:
    """Return a method's profile on a split; None where it has no values of the metric.

    Args:
        table: The split.
        metric: Whose values.
        at: The method's row on the board.
        chance: The metric's chance level, if it is known.
        higher_is_better: Which end is the best.
        examples: How many of the best neurons, and as many of the worst.
    """
    values = table.values.get(metric, [None] * len(table.texts))[at]
    texts = table.texts[at]
    if values is None or texts is None or np.isnan(values).all():
        return None
    found = []
    for group in table.groups:
        own = values[group.start : group.stop]
        own = own[~np.isnan(own)]
        if len(own):
            mean = float(own.mean())
            half = float(1.96 * own.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else None
            found.append((group, len(own), mean, half))
    shown = found[:MAX_LAYERS]
    ends = [m + s * (h or 0.0) for _, _, m, h in shown for s in (-1, 1)]
    if chance is not None:
        ends.append(chance)
    low, high = min(ends), max(ends)

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(PADDING + share * (WIDTH - 2 * PADDING), 1)

    layers = [
        LayerMean(
            g, n, m, None if h is None else m - h, None if h is None else m + h,
            place(m), place(m - (h or 0.0)), place(m + (h or 0.0)),
        )
        for g, n, m, h in shown
    ]  # fmt: skip
    order = np.argsort(-values if higher_is_better else values, kind="stable")
    order = order[~np.isnan(values[order])]
    count = min(examples, len(order) // 2)

    def example(i: int) -> Example:
        text = texts[i]
        return Example(
            table.keys[i], text or "", table.references[i], float(values[i]),
            address(table.name, table.keys[i]),
        )  # fmt: skip

    return Profile(
        table.name, layers, len(found) - len(shown), None if chance is None else place(chance),
        [example(int(i)) for i in order[:count]],
        [example(int(i)) for i in order[::-1][:count]],
    )  # fmt: skip


def address(split: str, key: NeuronKey) -> str:
    """Return what follows ``neuron.html#`` for a neuron.

    >>> address("test", NeuronKey("net", "a/b", "conv1", 3))
    'test/net/a%2Fb/conv1/3'
    """
    return "/".join(quote(clean(str(part)), safe="") for part in (split, *key))
