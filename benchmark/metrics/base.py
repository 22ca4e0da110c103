"""What every metric is: statistics per neuron, and a way to add them up.

The two are kept apart so that a bootstrap over neurons only re-sums (as sacrebleu does).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.references import Fold
from benchmark.result import MetricInfo
from milannotations.record import NeuronKey

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
PredictionsByFold = Sequence[Sequence[str]]  # one list of normalized descriptions per fold


@dataclass(frozen=True)
class References:
    """The reference descriptions of a split's neurons, which predictions are compared with.

    Attributes:
        folds: The references, fold by fold; see ``benchmark.references``.
        groups: The layer of each neuron; metrics of identification compare neurons of one layer.
        whole_split: The references of every neuron of the whole split, each once, from which
            metrics count how rare a word is. Default: the references in ``folds``.
        keys: The key of each neuron, if known.
    """

    folds: Sequence[Fold]
    groups: Sequence[str]
    whole_split: Sequence[Sequence[str]] = field(default=())
    keys: Sequence[NeuronKey] = field(default=())

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return len(self.groups)

    @cached_property
    def corpus(self) -> Sequence[Sequence[str]]:
        """All references of each neuron, each once although several folds hold it."""
        return self.whole_split or _each_once(self.folds, self.neurons)

    def permuted(self, order: Integers) -> References:
        """Return a copy in which neuron *i* has the references of neuron ``order[i]``."""
        folds = [
            Fold([f.held_out[j] for j in order], [f.references[j] for j in order])
            for f in self.folds
        ]
        return References(
            folds, self.groups, self.corpus, [self.keys[j] for j in order if self.keys]
        )

    def subset(self, positions: Sequence[int], folds: int | None = None) -> References:
        """Return the references of some neurons, optionally of the first folds only.

        Word frequencies are still those of the whole split.
        """
        return References(
            [
                Fold([f.held_out[i] for i in positions], [f.references[i] for i in positions])
                for f in self.folds[:folds]
            ],
            [self.groups[i] for i in positions],
            self.corpus,
            [self.keys[i] for i in positions if self.keys],
        )


class Metric(ABC):
    """A metric; subclasses say what they are in ``name`` and ``info``."""

    name: str
    info: MetricInfo
    # Whether it compares with annotations; if not, every neuron that is described is scored.
    needs_references: ClassVar[bool] = True
    # The lowest and the highest possible value; intervals over trials are cut there.
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    @abstractmethod
    def signature(self) -> str:
        """Name, version and settings; equal signatures mean comparable numbers."""

    @abstractmethod
    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each method's statistics, shape (neurons, statistics), summed over folds.

        Args:
            references: The references of the neurons.
            predictions: Each method's descriptions. All methods are passed at once so that a
                sentence which several of them use is encoded once.
        """

    @abstractmethod
    def aggregate(self, sums: Floats) -> Floats:
        """Turn sums over neurons, shape (..., statistics), into values of shape (...)."""

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return each neuron's own value, shape (neurons,); NaN where it has none."""
        return self.aggregate(statistics)

    @property
    def is_mean(self) -> bool:
        """Whether its value is the mean of the neurons' own values."""
        return False


class MeanMetric(Metric):
    """A metric that is the mean of a value per neuron and fold: statistics are (sum, count)."""

    def aggregate(self, sums: Floats) -> Floats:
        """Return sum / count; NaN where nothing was counted."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., 0] / sums[..., 1]

    @property
    def is_mean(self) -> bool:
        """True: neurons have values in all folds or in none, so that all weigh the same."""
        return True


class PairMetric(MeanMetric):
    """A mean of a score of description and reference.

    Subclasses score pairs of sentences; every distinct pair is scored once, whatever methods,
    folds and neurons it occurs in.

    Attributes:
        over: What a neuron's references give in a fold: ``best``, the score of the best one;
            ``mean``, their mean; or ``pairs``, all of them, so that the metric is the mean over
            pairs and a neuron with more references weighs more. NaN scores of pairs are left out.
    """

    over: Literal["best", "mean", "pairs"] = "best"

    @property
    def is_mean(self) -> bool:
        """Whether neurons weigh the same; over pairs, those with more references weigh more."""
        return self.over != "pairs"

    @abstractmethod
    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Score pairs of sentences.

        Args:
            sentences: Distinct sentences.
            predictions: Index in ``sentences`` of each pair's description, shape (pairs,).
            targets: Index in ``sentences`` of each pair's reference, shape (pairs,).
            references: The references that the sentences were taken from.

        Returns:
            Scores of shape (pairs,).
        """

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Score every distinct pair of sentences once, then reduce over references."""
        table = SentenceTable()
        numbered = [table.references(fold) for fold in references.folds]
        pairs = [
            np.stack([np.repeat(table.texts(texts), np.diff(starts)), numbers])
            for by_fold in predictions.values()
            for texts, (numbers, starts) in zip(by_fold, numbered, strict=True)
        ]
        sentences = table.sentences
        flat = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
        keys, inverse = np.unique(flat[0] * len(sentences) + flat[1], return_inverse=True)
        distinct = self.scores(sentences, keys // len(sentences), keys % len(sentences), references)
        values = np.asarray(distinct, dtype=np.float64)[inverse]
        statistics, start = {}, 0
        for name in predictions:
            sums = np.zeros((references.neurons, 2))
            for numbers, starts in numbered:
                sums += self._reduced(values[start : start + len(numbers)], starts)
                start += len(numbers)
            statistics[name] = sums
        return statistics

    def _reduced(self, values: Floats, starts: Integers) -> Floats:
        """Return each neuron's (sum, count) in one fold, shape (neurons, 2)."""
        if self.over == "pairs":
            scored = ~np.isnan(values)
            return np.stack(
                [
                    np.add.reduceat(np.where(scored, values, 0.0), starts[:-1]),
                    np.add.reduceat(scored.astype(np.float64), starts[:-1]),
                ],
                axis=1,
            )
        if self.over == "best":
            sums = np.maximum.reduceat(values, starts[:-1])
        else:
            sums = np.add.reduceat(values, starts[:-1]) / np.diff(starts)
        return np.stack([sums, np.ones(len(sums))], axis=1)


class SentenceTable:
    """Numbers for sentences, equal ones for equal sentences, in the order they are first met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def sentences(self) -> list[str]:
        """The distinct sentences, by number."""
        return list(self._numbers)

    def texts(self, texts: Sequence[str]) -> Integers:
        """Return the number of each text, shape (texts,)."""
        known = self._numbers
        return np.array([known.setdefault(text, len(known)) for text in texts], dtype=np.int64)

    def references(self, fold: Fold) -> tuple[Integers, Integers]:
        """Return all references' numbers in a row, and where each neuron's begin, and the end."""
        counts = [len(references) for references in fold.references]
        flat = self.texts([text for references in fold.references for text in references])
        return flat, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _each_once(folds: Sequence[Fold], neurons: int) -> list[list[str]]:
    counts = [Counter[str]() for _ in range(neurons)]
    for fold in folds:
        for count, references in zip(counts, fold.references, strict=True):
            count |= Counter(references)
    return [list(count.elements()) for count in counts]
