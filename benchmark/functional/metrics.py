"""Functional metrics: how well a description predicts a neuron's responses to images.

A text-image scorer gives each image a score for the description; for rendered images the score is
exact. The metrics compare these scores with the neuron's responses to the same images.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from benchmark.functional.scorers import Floats, Scorer
from benchmark.metrics.base import MeanMetric, PredictionsByFold, References
from benchmark.result import MetricInfo
from milannotations.errors import InputError
from milannotations.record import NeuronKey

Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Probe:
    """Neurons' responses to images, and a scorer of the same images.

    Attributes:
        responses: Responses by neuron, shape (images,).
        scorer: Scores how much of a text each image shows.
        networks: Hash of the networks' weights; empty if only one network is possible.

    >>> from benchmark.functional.scorers import WorldScorer
    >>> from milannotations.worlds import World
    >>> Probe({}, WorldScorer(World(0, 4))).scorer.signature
    'scorer:truth|images:worlds-0-4'
    """

    responses: Mapping[NeuronKey, NDArray[np.float32]]
    scorer: Scorer
    networks: str = ""


class FunctionalMetric(MeanMetric):
    """A mean over neurons of how well their descriptions predict their responses.

    Args:
        probe: The responses, and the scorer of the images.

    Attributes:
        chance_value: Value of a description or a neuron that does not vary over the images.
    """

    needs_references: ClassVar[bool] = False
    chance_value: ClassVar[float] = 0.0

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    @property
    def signature(self) -> str:
        """Metric, networks and scorer."""
        networks = f"networks:{self._probe.networks}|" if self._probe.networks else ""
        return f"{self.name}|response:peak|{networks}{self._probe.scorer.signature}"

    @abstractmethod
    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return a neuron's value.

        Args:
            response: The neuron's response to each image, shape (images,); not all equal.
            score: How much each image shows the description, shape (images,); not all equal.
            shows: Which images count as showing it, shape (images,); some but not all.
        """

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each neuron's value, summed over folds, and the number of folds.

        A description that applies to no image, or equally to all, predicts nothing and has the
        value of chance; so has any description of a neuron with constant responses.

        Raises:
            InputError: If the responses of a neuron are missing.
            ValueError: If the references have no keys.
        """
        if len(references.keys) != references.neurons:
            raise ValueError("functional metrics need the neurons' keys")
        lacking = [key for key in references.keys if key not in self._probe.responses]
        if lacking:
            raise InputError(f"there are no responses of neuron {lacking[0]}")
        values: dict[tuple[NeuronKey, str], float] = {}
        statistics = {}
        for name, by_fold in predictions.items():
            sums = np.zeros((references.neurons, 2))
            for texts in by_fold:
                scores = self._probe.scorer.scores(texts)
                shows = self._probe.scorer.positives(scores)
                for row, (key, text) in enumerate(zip(references.keys, texts, strict=True)):
                    if (key, text) not in values:
                        response = np.asarray(self._probe.responses[key], dtype=np.float64)
                        values[key, text] = self._value_or_chance(response, scores[row], shows[row])
                    sums[row] += values[key, text], 1
            statistics[name] = sums
        return statistics

    def _value_or_chance(self, response: Floats, score: Floats, shows: Truth) -> float:
        flat = np.ptp(response) == 0 or np.ptp(score) == 0 or shows.all() or not shows.any()
        return self.chance_value if flat else self.value(response, score, shows)


class Simulation(FunctionalMetric):
    """Correlation of the responses with those predicted from the description.

    The simulation score (Bills et al., 2023; Oikarinen and Weng, 2024): Pearson's r over images.

    >>> from benchmark.functional.scorers import WorldScorer
    >>> from milannotations.worlds import World
    >>> metric = Simulation(Probe({}, WorldScorer(World(0, 4))))
    >>> shows = np.array([True, True, False, False])
    >>> round(metric.value(np.array([0.9, 0.4, 0.5, 0.1]), shows * 1.0, shows), 3)
    0.612
    """

    name = "simulation"
    info = MetricInfo(
        title="Simulation r",
        description="correlation of the neuron's responses with how much images show the words",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return Pearson's r."""
        return float(np.corrcoef(response, score)[0, 1])


class ConceptAuc(FunctionalMetric):
    """How well the responses separate images that show the description from other images.

    The AUC of CoSy (Kopf et al., NeurIPS 2024), with images that show the description in place of
    generated images.

    >>> from benchmark.functional.scorers import WorldScorer
    >>> from milannotations.worlds import World
    >>> metric = ConceptAuc(Probe({}, WorldScorer(World(0, 4))))
    >>> shows = np.array([True, True, False, False])
    >>> round(metric.value(np.array([0.9, 0.4, 0.5, 0.1]), shows * 1.0, shows), 3)
    0.75
    """

    name = "concept-auc"
    chance_value = 0.5
    info = MetricInfo(
        title="Concept AUC",
        description="how well responses tell images that show the words from others",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return the area under the ROC curve."""
        ranks = rankdata(response)
        count = shows.sum()
        wins = ranks[shows].sum() - count * (count + 1) / 2
        return float(wins / (count * (len(shows) - count)))


class ConceptDifference(FunctionalMetric):
    """Difference of the mean responses to images that show the description and to others.

    The mean activation difference of CoSy (Kopf et al., NeurIPS 2024), in units of the standard
    deviation over the other images.

    >>> from benchmark.functional.scorers import WorldScorer
    >>> from milannotations.worlds import World
    >>> metric = ConceptDifference(Probe({}, WorldScorer(World(0, 4))))
    >>> shows = np.array([True, True, False, False])
    >>> round(metric.value(np.array([0.9, 0.4, 0.5, 0.1]), shows * 1.0, shows), 3)
    1.75
    """

    name = "concept-difference"
    info = MetricInfo(
        title="Concept difference",
        description="response to images that show the words above others, in deviations of these",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return the standardized difference; 0 if the responses to other images do not vary."""
        others = response[~shows]
        spread = others.std()
        return float((response[shows].mean() - others.mean()) / spread) if spread > 0 else 0.0


class ConceptPrecision(FunctionalMetric):
    """Average precision of retrieving the images that show the description by the responses.

    Chance is the share of images that show the description, so it differs by description.

    >>> from benchmark.functional.scorers import WorldScorer
    >>> from milannotations.worlds import World
    >>> metric = ConceptPrecision(Probe({}, WorldScorer(World(0, 4))))
    >>> shows = np.array([True, True, False, False])
    >>> round(metric.value(np.array([0.9, 0.4, 0.5, 0.1]), shows * 1.0, shows), 3)
    0.833
    """

    name = "concept-precision"
    info = MetricInfo(
        title="Concept precision",
        description="average precision of finding images that show the words by responses",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return the average precision."""
        return float(average_precision_score(shows, response))


FUNCTIONAL: tuple[type[FunctionalMetric], ...] = (
    Simulation,
    ConceptAuc,
    ConceptDifference,
    ConceptPrecision,
)
