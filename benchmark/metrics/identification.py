"""Identification: does a description fit its own neuron better than others of the layer?"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from scipy.stats import hypergeom

from benchmark.metrics.base import (
    Floats,
    Integers,
    MeanMetric,
    PredictionsByFold,
    References,
    SentenceTable,
)
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.metrics.sentence import sentence_encoder
from benchmark.result import MetricInfo
from benchmark.text_encoders import DEFAULT_SENTENCE_ENCODER

DISTRACTORS = 9
_DECIMALS = 10  # of similarities; the order of summation changes them by about 1e-15


class RankMetric(MeanMetric):
    """A mean over neurons of how their own references rank among those of their layer.

    How well a description fits a neuron is its mean cosine similarity to the neuron's references,
    in the space of a sentence encoder. Either every other neuron of the layer is a distractor, or
    distractors are drawn and the value is the exact expectation over all draws; it does not depend
    on a seed. Neurons in layers with too few other neurons have no value.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: The device on which the encoder runs.
    """

    bounds = BOUNDS["identification"]

    def __init__(
        self,
        encoder: str = DEFAULT_SENTENCE_ENCODER,
        device: torch.device | str = "cpu",
    ) -> None:
        self._encoder = sentence_encoder(encoder, str(device))

    @property
    @abstractmethod
    def least(self) -> int:
        """The number of other neurons that a layer must have."""

    @abstractmethod
    def value(self, better: Integers, equal: Integers, others: int) -> Floats:
        """Return each neuron's value.

        Args:
            better: Number of other neurons that its description fits better, shape (neurons,).
            equal: Number of other neurons that its description fits equally well.
            others: Number of other neurons.
        """

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each neuron's summed value over folds, and the number of folds."""
        table = SentenceTable()
        numbered = [table.references(fold) for fold in references.folds]
        texts = {
            name: [table.texts(texts) for texts in by_fold] for name, by_fold in predictions.items()
        }
        vectors = self._encoder.encode(table.sentences)
        layers: dict[str, list[int]] = {}
        for neuron, group in enumerate(references.groups):
            layers.setdefault(group, []).append(neuron)
        sums = {name: np.zeros((references.neurons, 2)) for name in predictions}
        for number, (flat, starts) in enumerate(numbered):
            sizes = np.diff(starts)[:, None]
            centres = np.add.reduceat(vectors[flat], starts[:-1], axis=0) / sizes
            for members in layers.values():
                if len(members) <= self.least:
                    continue
                for name, by_fold in texts.items():
                    better, equal = _ranks(vectors, by_fold[number][members], centres[members])
                    values = self.value(better, equal, len(members) - 1)
                    sums[name][members] += np.stack([values, np.ones(len(members))], 1)
        return sums


class Identification(RankMetric):
    """Area under the ROC curve of telling a neuron from the others of its layer by its description.

    A neuron's value is the share of the other neurons of its layer that its description fits less
    well than the neuron itself; ties count one half. Any constant scores exactly 0.5 in every
    layer, because each pair of neurons is won once and lost once.

    >>> metric = Identification("packaged/all-MiniLM-L6-v2")
    >>> references = [["a red dog"], ["wheels"], ["green grass"]]
    >>> metric(["dogs", "round wheels", "grass"], references), metric(["dogs"] * 3, references)
    (1.0, 0.5)
    """

    name = "identification"
    info = MetricInfo(
        title="Identification AUC",
        chance=0.5,
        description="share of the layer's other neurons that the description fits less well",
    )

    @property
    def signature(self) -> str:
        """Similarity, distractors and encoder."""
        return (
            f"identification-auc|similarity:mean-cosine|distractors:layer|{self._encoder.signature}"
        )

    @property
    def least(self) -> int:
        """One other neuron."""
        return 1

    def value(self, better: Integers, equal: Integers, others: int) -> Floats:
        """Return the share of others that the description fits less well; ties count one half."""
        return np.asarray(1 - (better + 0.5 * equal) / others)


class IdentificationAccuracy(RankMetric):
    """How often a description picks its own neuron out of ten neurons of the layer.

    Nine distractors are drawn from the layer without replacement, and ties are broken at random;
    the value is the exact expectation over both. Any constant scores exactly 0.1.

    >>> metric = IdentificationAccuracy("packaged/all-MiniLM-L6-v2")
    >>> things = ["dog", "cat", "wheel", "face", "sky", "tree", "lamp", "car", "shoe", "door"]
    >>> metric([f"a {thing}" for thing in things], [[f"{thing}s"] for thing in things])
    1.0
    """

    name = "identification-accuracy"
    info = MetricInfo(
        title="Identification, 1 of 10",
        chance=1 / (DISTRACTORS + 1),
        description="how often the description fits its neuron best among ten of the layer",
    )

    @property
    def signature(self) -> str:
        """Similarity, distractors and encoder."""
        return (
            f"identification-accuracy|similarity:mean-cosine|distractors:{DISTRACTORS}-of-layer|"
            f"{self._encoder.signature}"
        )

    @property
    def least(self) -> int:
        """The number of distractors."""
        return DISTRACTORS

    def value(self, better: Integers, equal: Integers, others: int) -> Floats:
        """Return the probability that none of the distractors is ranked higher."""
        return _over_ties(_expected(others, "accuracy"), better, equal)


class IdentificationRank(IdentificationAccuracy):
    """Mean reciprocal rank of a description's own neuron among ten neurons of the layer.

    Distractors and ties are treated as in ``IdentificationAccuracy``. Any constant scores exactly
    the mean of 1, 1/2, …, 1/10.

    >>> metric = IdentificationRank("packaged/all-MiniLM-L6-v2")
    >>> things = ["dog", "cat", "wheel", "face", "sky", "tree", "lamp", "car", "shoe", "door"]
    >>> round(metric(["things"] * 10, [[f"{thing}s"] for thing in things]), 3)
    0.293
    """

    name = "identification-mrr"
    info = MetricInfo(
        title="Identification MRR of 10",
        chance=sum(1 / rank for rank in range(1, DISTRACTORS + 2)) / (DISTRACTORS + 1),
        description="mean reciprocal rank of the own neuron among ten of the layer",
    )

    @property
    def signature(self) -> str:
        """Similarity, distractors and encoder."""
        return super().signature.replace("-accuracy", "-mrr", 1)

    def value(self, better: Integers, equal: Integers, others: int) -> Floats:
        """Return the expected reciprocal rank."""
        return _over_ties(_expected(others, "rank"), better, equal)


@lru_cache(maxsize=256)
def _expected(others: int, value: str) -> Floats:
    """Return the expected value for each number of other neurons ranked higher, from 0 to all."""
    higher = np.arange(others + 1)[:, None]
    drawn = np.arange(DISTRACTORS + 1)[None]
    chance = hypergeom.pmf(drawn, others, higher, DISTRACTORS)
    gained = (drawn == 0) if value == "accuracy" else 1 / (1 + drawn)
    return np.asarray((chance * gained).sum(1))


def _over_ties(expected: Floats, better: Integers, equal: Integers) -> Floats:
    """Average over the ranks that a neuron may get among the neurons that fit equally well."""
    sums = np.concatenate([[0.0], np.cumsum(expected)])
    return np.asarray((sums[better + equal + 1] - sums[better]) / (equal + 1))


def _ranks(vectors: Floats, rows: Integers, centres: Floats) -> tuple[Integers, Integers]:
    """Return how many centres each description fits better than its own, and how many equally well.

    Shapes (neurons,).
    """
    # Equal descriptions must have equal similarities to the last bit, so each distinct description
    # is multiplied once.
    distinct, inverse = np.unique(rows, return_inverse=True)
    # Rounded so that neurons with the same references tie, whatever the order of the references and
    # of the summation; other similarities differ by far more.
    similarity = np.round(vectors[distinct] @ centres.T, _DECIMALS)[inverse]
    own = similarity.diagonal()[:, None]
    return (similarity > own).sum(1), (similarity == own).sum(1) - 1


Evaluate = evaluate_module(__name__, Identification)
