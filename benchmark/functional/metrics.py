"""Functional metrics: activations predicted from a description, against those there are.

A description is turned into a score of each image by a text-image scorer, or exactly where the
images are rendered; the metrics compare these with the neuron's responses to the same images.
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
    """Neurons' responses to a row of images, and what the images show.

    Attributes:
        responses: By neuron, float (images,).
        scorer: Of the same images.
        networks: Hash of the networks' weights; empty where it can be but one network.
    """

    responses: Mapping[NeuronKey, NDArray[np.float32]]
    scorer: Scorer
    networks: str = ""


class FunctionalMetric(MeanMetric):
    """A mean over neurons of how well their descriptions predict their responses.

    Args:
        probe: Responses and images.
    """

    needs_references: ClassVar[bool] = False
    nothing: ClassVar[float] = 0.0

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
            response: To each image, not all equal.
            score: How much each image shows the description, not all equal.
            shows: Which images count as showing it: some, and not all.
        """

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each neuron's value, summed over folds, and the number of folds.

        A description that says nothing of any image, or the same of all, predicts nothing and
        has the value of chance; so does any description of a neuron that never responds.

        Raises:
            InputError: If responses of a neuron are missing.
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
        return self.nothing if flat else self.value(response, score, shows)


class Simulation(FunctionalMetric):
    """Correlation of responses with what the description predicts of them.

    The simulation score (Bills et al., 2023; Oikarinen and Weng, 2024): Pearson's r over images.
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
    """How well responses tell images that show the description from those that do not.

    The AUC of CoSy (Kopf et al., NeurIPS 2024), with images that show it in place of generated
    ones.
    """

    name = "concept-auc"
    nothing = 0.5
    info = MetricInfo(
        title="Concept AUC",
        description="how well responses tell images that show the words from others",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return the area under the ROC curve."""
        ranks = rankdata(response)
        most = shows.sum()
        return float((ranks[shows].sum() - most * (most + 1) / 2) / (most * (len(shows) - most)))


class ConceptDifference(FunctionalMetric):
    """Mean response to images that show the description above that to others, in deviations.

    The mean activation difference of CoSy (Kopf et al., NeurIPS 2024), in units of the standard
    deviation over the other images.
    """

    name = "concept-difference"
    info = MetricInfo(
        title="Concept difference",
        description="response to images that show the words above others, in deviations of these",
    )

    def value(self, response: Floats, score: Floats, shows: Truth) -> float:
        """Return the standardized difference; chance where others do not vary."""
        others = response[~shows]
        spread = others.std()
        return float((response[shows].mean() - others.mean()) / spread) if spread > 0 else 0.0


class ConceptPrecision(FunctionalMetric):
    """Average precision of finding the images that show the description by the responses.

    Chance is the share of images that show it, which differs by description.
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
