"""Chance-corrected metrics: 0 for what says nothing of a neuron, 1 for a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmark.metrics.base import (
    Floats,
    Integers,
    MeanMetric,
    Metric,
    PredictionsByFold,
    References,
)
from benchmark.result import MetricInfo
from benchmark.tokenization import normalize
from milannotations.errors import InputError

PERMUTATIONS = 16


class Corrected(Metric):
    """Another metric's gain over chance, in parts of what a person gains.

    ``(score − chance) / (human − chance of human)``, where *chance* is the expected score when the
    references are permuted between the neurons of each layer, and *human* the score of the held-out
    annotation. The correction is that of kappa statistics (Cohen, 1960). A constant gets exactly 0,
    as every permutation leaves its score what it was; a person gets exactly 1.

    The mean over *all* permutations gives each neuron the references of every neuron of its layer
    once. In layers larger than ``permutations`` that many cyclic shifts of a random order stand for
    it; a constant's value is exactly 0 all the same. Where chance is known, as for identification,
    nothing is permuted. Corpus BLEU is that of all permutations'
    corpora together.

    Args:
        metric: The metric to correct; kept as ``base``.
        permutations: Shifts per layer.
        seed: Of the orders and of which shifts.
    """

    def __init__(self, metric: Metric, permutations: int = PERMUTATIONS, seed: int = 0) -> None:
        if permutations < 1:
            raise ValueError(f"{permutations} permutations; at least 1")
        self.base = metric
        self._permutations = permutations
        self._seed = seed
        self.name = f"{metric.name}-corrected"
        self.info = MetricInfo(
            title=f"{metric.info.title}, corrected",
            higher_is_better=True,
            chance=0.0,
            description=f"{metric.info.title} above chance, in parts of a person's; 0 for any "
            "constant, 1 for a held-out annotation",
        )

    @property
    def signature(self) -> str:
        """The metric's own, and how chance was found."""
        return (
            f"corrected|chance:layer-shifts-{self._permutations}|seed:{self._seed}|"
            f"ceiling:held-out|of:{self.base.signature}"
        )

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return four blocks: the method's, its chance, the person's, and the person's chance."""
        person = [[normalize(text) for text in fold.held_out] for fold in references.folds]
        if not any(map(any, person)):
            raise InputError(
                f"{self.name} is in parts of what a person gains, and no annotation is held out"
            )
        # A name no method can have.
        everyone = {**predictions, "": person}
        scored = self.base.statistics(references, everyone)
        chance = self._chance(references, everyone, scored)
        return {
            name: np.concatenate([scored[name], chance[name], scored[""], chance[""]], axis=1)
            for name in predictions
        }

    def _chance(
        self,
        references: References,
        predictions: Mapping[str, PredictionsByFold],
        scored: dict[str, Floats],
    ) -> dict[str, Floats]:
        level = self.base.info.chance
        if level is not None and isinstance(self.base, MeanMetric):
            # Known for any description, so that nothing needs to be permuted.
            return {name: values[:, 1:] * [level, 1.0] for name, values in scored.items()}
        orders = shifts(references.groups, self._permutations, self._seed)
        folds = [fold for order in orders for fold in references.permuted(order).folds]
        # Sums over all permutations stay as they are: values do not depend on their scale.
        return self.base.statistics(
            References(folds, references.groups, references.corpus, references.keys),
            {name: [*by_fold] * len(orders) for name, by_fold in predictions.items()},
        )

    def aggregate(self, sums: Floats) -> Floats:
        """Return the gain over chance in parts of the person's; NaN where that gains nothing."""
        own, ceiling = self._gains(sums, self.base.aggregate)
        return _divided(own, ceiling)

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return each neuron's gain, in parts of what a person gains on the average."""
        blocks = np.split(statistics, 4, axis=1)
        own, chance = (self.base.per_neuron(block) for block in blocks[:2])
        _, ceiling = self._gains(statistics.sum(0), self.base.aggregate)
        return _divided(own - chance, ceiling)

    @property
    def is_mean(self) -> bool:
        """Whether the metric that is corrected is a mean."""
        return self.base.is_mean

    @staticmethod
    def _gains(sums: Floats, aggregate: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        own, chance, person, person_chance = np.split(sums, 4, axis=-1)
        return aggregate(own) - aggregate(chance), aggregate(person) - aggregate(person_chance)


def shifts(groups: Sequence[str], count: int, seed: int) -> list[Integers]:
    """Return permutations of neurons within their groups.

    Every group is put into a random order once, and a permutation shifts these orders cyclically.
    A group goes through all its shifts in random order before it repeats one; so if its size
    divides ``count``, each of its neurons meets each equally often.

    Args:
        groups: The group of each neuron.
        count: How many permutations.
        seed: Of the orders.

    Returns:
        For each permutation which neuron stands in for each, shape (neurons,).
    """
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for neuron, group in enumerate(groups):
        members.setdefault(group, []).append(neuron)
    orders = [np.arange(len(groups)) for _ in range(count)]
    for found in members.values():
        row = rng.permutation(found)
        steps = rng.permutation(len(row))
        for turn, order in enumerate(orders):
            order[row] = np.roll(row, steps[turn % len(row)])
    return orders


def _divided(gain: Floats, ceiling: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(ceiling) > 0, gain / ceiling, np.nan)
