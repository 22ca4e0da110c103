"""Choosing which candidates to ablate, and how many, on validation images.

The procedure is that of the MILAN paper, section 7: candidates are sorted by the effect of ablating
each alone on validation accuracy, and the first n of them are ablated together, for the n that does
best there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from applications.labelled import AblationEvaluator, ClassImages, Floats
from milannotations.ablation import LayerUnit, grouped
from milannotations.errors import InputError

ADVERSARIAL = "adversarial"
_DENSE = 8  # every number up to this one is tried
_STEPS = 24  # most numbers of units that are tried


@dataclass(frozen=True)
class EditChoice:
    """Units chosen from some candidates.

    >>> candidates = (("conv1", 3), ("conv1", 5))
    >>> EditChoice("descriptions", 0, candidates, (0.1, 0.0), (0, 1, 2), (0.5, 0.6, 0.6), 1).units
    (('conv1', 3),)

    Attributes:
        method: How the candidates were selected.
        trial: Number of the draw, for random candidates.
        order: The candidates, sorted by effect: the one whose ablation helps most comes first.
        effects: Effect of ablating each alone on the validation score, in that order.
        counts: Numbers of first candidates that were ablated together, ascending from 0.
        scores: The validation score for each of ``counts``.
        count: The chosen number.
    """

    method: str
    trial: int
    order: tuple[LayerUnit, ...]
    effects: tuple[float, ...]
    counts: tuple[int, ...]
    scores: tuple[float, ...]
    count: int

    @property
    def units(self) -> tuple[LayerUnit, ...]:
        """The units of the edit."""
        return self.order[: self.count]

    def few(self, most: int) -> tuple[int, ...]:
        """Return some of ``counts``, evenly spaced, with 0, the chosen one and the last."""
        step = max(1, -(-len(self.counts) // most))
        return tuple(sorted({*self.counts[::step], self.count, self.counts[-1]}))

    def ablations(self, counts: Sequence[int]) -> list[dict[str, list[int]]]:
        """Return the ablations of the first candidates, for each of these numbers."""
        return [grouped(self.order[:count]) for count in counts]


class UnitChooser:
    """Chooses among candidates on validation images.

    The score is the mean accuracy over the validation sets, so that an edit that helps against the
    spurious feature but costs as much elsewhere gains nothing.

    Args:
        evaluator: Measures the network.
        validation: The validation sets, by name.
        max_units: Most units of an edit; None for no limit.
        tolerance: If no set is named ``adversarial``, nothing shows that the feature misleads; then
            as many units are ablated as cost at most this much accuracy, 0 to 1.

    Raises:
        InputError: If there are no validation sets, or the tolerance is out of range.
    """

    def __init__(
        self,
        evaluator: AblationEvaluator,
        validation: Mapping[str, ClassImages],
        max_units: int | None = None,
        tolerance: float = 0.02,
    ) -> None:
        if not validation:
            raise InputError("an edit is chosen on validation images; give some")
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance is {tolerance}; it must be at least 0 and below 1")
        self._evaluator, self._sets, self._max_units = evaluator, validation, max_units
        self._tolerance = None if ADVERSARIAL in validation else tolerance
        self._alone: dict[LayerUnit, tuple[float, float]] = {}
        self._base = self._scores([{}], "Validation")[0]

    def effects(self, units: Sequence[LayerUnit]) -> dict[LayerUnit, float]:
        """Return the effect of ablating each unit alone on the validation score, -1 to 1."""
        self._look(units)
        return {unit: self._alone[unit][0] - self._base[0] for unit in units}

    def choose(self, candidates: Sequence[LayerUnit], method: str, trial: int = 0) -> EditChoice:
        """Sort candidates by their effects and choose how many of them to ablate.

        Among equal scores the one with fewer units is chosen; without adversarial images, see
        ``tolerance``.

        Raises:
            InputError: If there are no candidates.
        """
        if not candidates:
            raise InputError(f"{method}: there are no candidates to choose from")
        order = self.sorted(candidates)[: self._max_units]
        counts = steps(len(order))
        scores = self._scores([grouped(order[:n]) for n in counts], f"Choosing: {method}")
        if self._tolerance is None:
            best = max(range(len(counts)), key=lambda index: (scores[index][0], -counts[index]))
        else:
            least = scores[0][0] - self._tolerance
            best = max(index for index, (score, _) in enumerate(scores) if score >= least)
        return EditChoice(
            method,
            trial,
            tuple(order),
            tuple(self._alone[unit][0] - self._base[0] for unit in order),
            tuple(counts),
            tuple(score for score, _ in scores),
            counts[best],
        )

    def nothing(self, method: str) -> EditChoice:
        """Return the choice of no unit, if there are no candidates."""
        return EditChoice(method, 0, (), (), (0,), (self._base[0],), 0)

    def sorted(self, units: Sequence[LayerUnit]) -> list[LayerUnit]:
        """Return units by descending effect of ablating each alone.

        The many ties in accuracy are broken by the log-probability of the correct class.
        """
        self._look(units)
        return sorted(dict.fromkeys(units), key=lambda unit: self._alone[unit], reverse=True)

    def _look(self, units: Sequence[LayerUnit]) -> None:
        new = [unit for unit in dict.fromkeys(units) if unit not in self._alone]
        scores = self._scores([{layer: [unit]} for layer, unit in new], "Each unit alone")
        self._alone.update(zip(new, scores, strict=True))

    def _scores(
        self, ablations: Sequence[Mapping[str, Sequence[int]]], title: str
    ) -> list[tuple[float, float]]:
        """Return accuracy and mean log-probability, each the mean over the sets."""
        if not ablations:
            return []
        accuracy: Floats = np.zeros(len(ablations))
        logp: Floats = np.zeros(len(ablations))
        for images in self._sets.values():
            results = self._evaluator.measure(images, ablations, title)
            accuracy += results.accuracy / len(self._sets)
            logp += results.logp.mean(1) / len(self._sets)
        return [(round(float(a), 9), float(b)) for a, b in zip(accuracy, logp, strict=True)]


def steps(most: int, limit: int = _STEPS) -> list[int]:
    """Return numbers from 0 to ``most``: all small ones, then at growing distances.

    >>> steps(5)
    [0, 1, 2, 3, 4, 5]
    >>> steps(300)
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 17, 21, 27, 34, 43, 55, 70, 90, 114, 145, 185, 236, 300]
    """
    if most < limit:
        return list(range(most + 1))
    dense = range(_DENSE + 1)
    wide = np.geomspace(_DENSE, most, limit - _DENSE).round().astype(int).tolist()
    return sorted({*dense, *wide})
