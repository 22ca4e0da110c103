"""Chance-corrected metrics: 0 for any constant description, 1 for a person's."""

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
from benchmark.metrics.bounds import CORRECTED
from benchmark.result import MetricInfo
from benchmark.tokenization import normalize
from milannotations.errors import InputError

PERMUTATIONS = 16


class Corrected(Metric):
    """Another metric's gain over chance, as a fraction of a person's gain.

    ``(score − chance) / (human − chance of human)``, where *chance* is the expected score when the
    references are permuted among the neurons of each layer, and *human* is the score of the
    held-out annotation. This is the correction of kappa statistics (Cohen, 1960). A constant scores
    exactly 0, because no permutation changes its score; a person scores exactly 1.

    The mean over *all* permutations gives each neuron the references of every neuron of its layer
    once. In layers larger than ``permutations``, that many cyclic shifts of a random order
    approximate it; a constant still scores exactly 0. If chance is known, as for identification,
    nothing is permuted. For corpus BLEU, the corpora of all permutations are put together.

    Args:
        metric: The metric to correct; available as ``base``.
        permutations: Number of shifts per layer.
        seed: Seed of the orders and of the choice of shifts.

    >>> from benchmark.metrics.rouge import RougeL
    >>> from benchmark.references import leave_one_out
    >>> folds = leave_one_out([["a dog", "dogs"], ["a wheel", "wheels"]])
    >>> references = References(folds, groups=["conv1", "conv1"])
    >>> metric = Corrected(RougeL())
    >>> predictions = {"constant": [["dogs"] * 2] * 2, "mine": [["dogs", "wheels"]] * 2}
    >>> statistics = metric.statistics(references, predictions)
    >>> {name: round(float(metric.aggregate(s.sum(0))), 3) for name, s in statistics.items()}
    {'constant': 0.0, 'mine': 1.25}
    """

    def __init__(self, metric: Metric, permutations: int = PERMUTATIONS, seed: int = 0) -> None:
        if permutations < 1:
            raise ValueError(f"{permutations} permutations; at least 1")
        self.base = metric
        self._permutations = permutations
        self._seed = seed
        self.name = f"{metric.name}{CORRECTED}"
        self.info = MetricInfo(
            title=f"{metric.info.title}, corrected",
            higher_is_better=True,
            chance=0.0,
            description=f"{metric.info.title} above chance, in parts of a person's; 0 for any "
            "constant, 1 for a held-out annotation",
        )

    @property
    def signature(self) -> str:
        """The metric's own signature, and how chance is estimated."""
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
        # No method can have this name.
        with_person = {**predictions, "": person}
        scored = self.base.statistics(references, with_person)
        chance = self._chance(references, with_person, scored)
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
            # Chance is the same for any description, so nothing needs to be permuted.
            return {name: values[:, 1:] * [level, 1.0] for name, values in scored.items()}
        orders = shifts(references.groups, self._permutations, self._seed)
        folds = [fold for order in orders for fold in references.permuted(order).folds]
        # Sums over all permutations are not divided: values do not depend on their scale.
        return self.base.statistics(
            References(folds, references.groups, references.corpus, references.keys),
            {name: [*by_fold] * len(orders) for name, by_fold in predictions.items()},
        )

    def aggregate(self, sums: Floats) -> Floats:
        """Return the gain over chance as a fraction of a person's; NaN if that is not positive."""
        own, ceiling = self._gains(sums, self.base.aggregate)
        return _divided(own, ceiling)

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return each neuron's gain as a fraction of a person's mean gain."""
        blocks = np.split(statistics, 4, axis=1)
        own, chance = (self.base.per_neuron(block) for block in blocks[:2])
        _, ceiling = self._gains(statistics.sum(0), self.base.aggregate)
        return _divided(own - chance, ceiling)

    @property
    def is_mean(self) -> bool:
        """Whether the corrected metric is a mean."""
        return self.base.is_mean

    @staticmethod
    def _gains(sums: Floats, aggregate: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
        own, chance, person, person_chance = np.split(sums, 4, axis=-1)
        return aggregate(own) - aggregate(chance), aggregate(person) - aggregate(person_chance)


def shifts(groups: Sequence[str], count: int, seed: int) -> list[Integers]:
    """Return permutations of neurons within their groups.

    Every group is put into a random order once, and each permutation shifts this order cyclically.
    A group uses all of its shifts, in random order, before it repeats one; so if its size divides
    ``count``, each of its neurons is paired with each other one equally often.

    Args:
        groups: The group of each neuron.
        count: Number of permutations.
        seed: Seed of the orders.

    Returns:
        For each permutation, the index of the neuron that replaces each neuron, shape (neurons,).
    """
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for neuron, group in enumerate(groups):
        members.setdefault(group, []).append(neuron)
    orders = [np.arange(len(groups)) for _ in range(count)]
    for neurons in members.values():
        row = rng.permutation(neurons)
        steps = rng.permutation(len(row))
        for turn, order in enumerate(orders):
            order[row] = np.roll(row, steps[turn % len(row)])
    return orders


def _divided(gain: Floats, ceiling: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(ceiling) > 0, gain / ceiling, np.nan)
