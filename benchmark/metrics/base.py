"""The base classes of metrics: statistics per neuron, and a way to aggregate them.

The two are separate, so that a bootstrap over neurons only sums statistics again, as in sacrebleu.
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

from benchmark.references import Fold, all_at_once, usable
from benchmark.result import MetricInfo
from benchmark.tokenization import normalize
from milannotations.errors import InputError
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

    @classmethod
    def of(
        cls, annotations: Sequence[Sequence[str]], groups: Sequence[str] | None = None
    ) -> References:
        """Return all annotations of each neuron as its references; none is held out.

        Args:
            annotations: The annotations of each neuron.
            groups: The layer of each neuron; by default all neurons are of one layer.

        Raises:
            InputError: If a neuron has no annotation, or the numbers of neurons differ.

        >>> References.of([["A dog.", "dogs"]]).folds
        [Fold(held_out=[''], references=[['a dog', 'dogs']])]
        """
        lacking = next((i for i, texts in enumerate(annotations) if not usable(texts)), None)
        if lacking is not None:
            raise InputError(f"neuron number {lacking} has no reference")
        layers = [""] * len(annotations) if groups is None else list(groups)
        if len(layers) != len(annotations):
            raise InputError(f"{len(layers)} groups for {len(annotations)} neurons")
        return cls(all_at_once(annotations), layers)

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
        return References(
            [_rows(fold, order.tolist()) for fold in self.folds],
            self.groups,
            self.corpus,
            [self.keys[j] for j in order if self.keys],
        )

    def subset(self, positions: Sequence[int], folds: int | None = None) -> References:
        """Return the references of some neurons, optionally of the first folds only.

        Word frequencies are still those of the whole split.
        """
        return References(
            [_rows(fold, positions) for fold in self.folds[:folds]],
            [self.groups[i] for i in positions],
            self.corpus,
            [self.keys[i] for i in positions if self.keys],
        )


class Metric(ABC):
    """A metric; subclasses declare ``name`` and ``info``.

    >>> from benchmark.metrics.rouge import RougeL
    >>> RougeL()(["a red dog"], [["a dog", "dogs"]])
    0.8
    """

    name: str
    info: MetricInfo
    # Whether it compares with annotations; if not, every neuron with a description is scored.
    needs_references: ClassVar[bool] = True
    # The lowest and the highest possible value; intervals over trials are cut there.
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def __call__(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        groups: Sequence[str] | None = None,
    ) -> float:
        """Return the value of one method, without holding annotations out.

        Args:
            predictions: One description per neuron.
            references: The references of each neuron.
            groups: The layer of each neuron; by default all neurons are of one layer.

        Raises:
            InputError: If a neuron has no reference, or the numbers of neurons differ.
        """
        statistics = self.method_statistics(predictions, references, groups)
        return float(self.aggregate(statistics.sum(0)))

    def method_statistics(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        groups: Sequence[str] | None = None,
    ) -> Floats:
        """Return the statistics of one method, shape (neurons, statistics); see ``__call__``."""
        targets = References.of(references, groups)
        if len(predictions) != targets.neurons:
            raise InputError(f"{len(predictions)} predictions for {targets.neurons} neurons")
        texts = [normalize(text) for text in predictions]
        return self.statistics(targets, {"": [texts]})[""]

    @property
    @abstractmethod
    def signature(self) -> str:
        """Name, version and settings; values with equal signatures are comparable."""

    @abstractmethod
    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each method's statistics, shape (neurons, statistics), summed over folds.

        Args:
            references: The references of the neurons.
            predictions: Each method's descriptions. All methods are passed at once, so that a
                sentence which several of them use is encoded once.
        """

    @abstractmethod
    def aggregate(self, sums: Floats) -> Floats:
        """Turn sums over neurons, shape (..., statistics), into values of shape (...)."""

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return each neuron's own value, shape (neurons,); NaN for a neuron without a value."""
        return self.aggregate(statistics)

    @property
    def is_mean(self) -> bool:
        """Whether the metric's value is the mean of the neurons' own values."""
        return False


class MeanMetric(Metric):
    """A mean of one value per neuron and fold: the statistics are (sum, count).

    >>> from benchmark.metrics.rouge import RougeL
    >>> RougeL().method_statistics(["a dog", "sky"], [["a dog"], ["wheels"]]).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """

    def aggregate(self, sums: Floats) -> Floats:
        """Return sum / count; NaN where the count is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[..., 0] / sums[..., 1]

    @property
    def is_mean(self) -> bool:
        """True: a neuron has a value in every fold or in none, so all neurons weigh the same."""
        return True


class PairMetric(MeanMetric):
    """A mean of a score of description and reference.

    Subclasses score pairs of sentences. Every distinct pair is scored once, even if several
    methods, folds or neurons contain it.

    Attributes:
        over: How the scores of a neuron's references in a fold are reduced: to the ``best`` one; to
            their ``mean``; or, with ``pairs``, not at all, so that the metric is the mean over
            pairs and a neuron with more references weighs more. Pairs whose score is NaN are left
            out.
    """

    over: Literal["best", "mean", "pairs"] = "best"

    @property
    def is_mean(self) -> bool:
        """Whether all neurons weigh the same; over pairs, those with more references weigh more."""
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
        codes, inverse = np.unique(flat[0] * len(sentences) + flat[1], return_inverse=True)
        distinct = self.scores(
            sentences, codes // len(sentences), codes % len(sentences), references
        )
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
    """Numbers for sentences: equal sentences get equal numbers, in order of first occurrence.

    >>> table = SentenceTable()
    >>> table.texts(["a dog", "a cat", "a dog"]).tolist(), table.sentences
    ([0, 1, 0], ['a dog', 'a cat'])
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def sentences(self) -> list[str]:
        """The distinct sentences, by number."""
        return list(self._numbers)

    def texts(self, texts: Sequence[str]) -> Integers:
        """Return the number of each text, shape (texts,)."""
        numbers = self._numbers
        return np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int64)

    def references(self, fold: Fold) -> tuple[Integers, Integers]:
        """Return the numbers of a fold's references, flat, and where each neuron's begin and end.

        Returns:
            Numbers of shape (references,), and offsets of shape (neurons + 1,).
        """
        counts = [len(references) for references in fold.references]
        flat = self.texts([text for references in fold.references for text in references])
        return flat, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _rows(fold: Fold, positions: Sequence[int]) -> Fold:
    return Fold([fold.held_out[i] for i in positions], [fold.references[i] for i in positions])


def _each_once(folds: Sequence[Fold], neurons: int) -> list[list[str]]:
    counts = [Counter[str]() for _ in range(neurons)]
    for fold in folds:
        for count, references in zip(counts, fold.references, strict=True):
            count |= Counter(references)
    return [list(count.elements()) for count in counts]
