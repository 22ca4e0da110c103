"""Agreement between annotators: each annotation in turn against the others of its neuron.

The values are computed by ``benchmark.harness``, so they are comparable with a method's scores.
Agreement by chance is measured in the same way, after the held-out annotations have been assigned
to other neurons of the same layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from datasets import Dataset, Features

from benchmark.harness import describe, make_task
from benchmark.intervals import bootstrap
from benchmark.metrics import registry
from benchmark.metrics.base import Floats, MeanMetric, Metric, PredictionsByFold, References
from benchmark.quality.schema import Agreement
from benchmark.references import scorable
from benchmark.result import MetricInfo, Score
from milannotations.describer import Describer, Description, create
from milannotations.device import resolve_device
from milannotations.record import FEATURES, NeuronKey, keys_of


class ExactMatch(MeanMetric):
    """Share of the references that equal the description, averaged over neurons and folds.

    With annotations as descriptions, it is the share of pairs of annotators who wrote the same.

    >>> ExactMatch()(["dogs"], [["Dogs.", "a dog"]])
    0.5
    """

    name = "exact-match"
    info = MetricInfo(
        title="Exact match", description="share of references that the description equals"
    )

    @property
    def signature(self) -> str:
        """How texts are compared."""
        return "exact-match|case:lc|strip:spaces-and-full-stops|mean-over-references"

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each neuron's share, summed over folds, and the number of folds."""
        statistics = {}
        for name, by_fold in predictions.items():
            sums = np.zeros((references.neurons, 2))
            for fold, texts in zip(references.folds, by_fold, strict=True):
                for i, (text, targets) in enumerate(zip(texts, fold.references, strict=True)):
                    sums[i] += targets.count(text) / len(targets), 1
            statistics[name] = sums
        return statistics


class WithinLayers:
    """Runs another describer on each layer separately."""

    sees_references: ClassVar[bool] = True

    def __init__(self, inner: Describer) -> None:
        self._inner = inner

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Return descriptions in the order of ``neurons``, each layer described separately."""
        layers: dict[tuple[str, ...], list[int]] = {}
        for row, key in enumerate(keys_of(neurons)):
            layers.setdefault(key[:3], []).append(row)
        descriptions: dict[int, Description] = {}
        for rows in layers.values():
            descriptions |= zip(rows, self._inner.describe(neurons.select(rows)), strict=True)
        return [descriptions[row] for row in range(len(neurons))]


@dataclass(frozen=True)
class AgreementStatistics:
    """Statistics of agreement per neuron, which can be summed over any set of neurons.

    Attributes:
        metrics: The metrics.
        keys: The neurons that were compared.
        statistics: By metric, the statistics of the neurons' own annotations and of annotations of
            other neurons, one row per neuron.
    """

    metrics: Sequence[Metric]
    keys: Sequence[NeuronKey]
    statistics: Mapping[str, tuple[Floats, Floats]]

    def of(
        self, belongs: Callable[[NeuronKey], Hashable], resamples: int, seed: int
    ) -> dict[Hashable, dict[str, Agreement]]:
        """Return the agreement in every group of neurons.

        Args:
            belongs: Returns the group of a neuron.
            resamples: Resamples of the bootstrap over the neurons of a group.
            seed: Seed of the bootstrap.
        """
        rows: dict[Hashable, list[int]] = {}
        for row, key in enumerate(self.keys):
            rows.setdefault(belongs(key), []).append(row)

        def scored(metric: Metric, statistics: Floats) -> Score:
            ends = bootstrap(metric, statistics, resamples, seed)
            return Score(
                value=ends.value,
                low=ends.low,
                high=ends.high,
                n=len(statistics),
                signature=metric.signature,
            )

        return {
            group: {
                metric.name: Agreement(
                    own=scored(metric, self.statistics[metric.name][0][members]),
                    other=scored(metric, self.statistics[metric.name][1][members]),
                )
                for metric in self.metrics
            }
            for group, members in rows.items()
        }


def make_metrics(encoder: str | None, device: str) -> list[Metric]:
    """Return the metrics of agreement; those that need an encoder only if one is named.

    Raises:
        InputError: If the encoder or the device is not available.
    """
    if encoder is None:
        return [ExactMatch(), *registry.make_metrics(["bleu"], registry.MetricSettings())]
    settings = registry.MetricSettings(encoder, encoder, resolve_device(device))
    names = ["bleu", "bertscore", "identification"]
    return [ExactMatch(), *registry.make_metrics(names, settings)]


def compare(
    keys: Sequence[NeuronKey],
    annotations: Sequence[Sequence[str]],
    metrics: Sequence[Metric],
    seed: int,
    notify: Callable[[str], None] = lambda _: None,
) -> AgreementStatistics | None:
    """Score each annotation against the others of its neuron, and of another neuron.

    Args:
        keys: Keys of all neurons.
        annotations: Annotations of each neuron. Neurons with fewer than two usable ones are left
            out, and so is a neuron that is then alone in its layer.
        metrics: The metrics.
        seed: Seed of assigning annotations to other neurons.
        notify: Called with a line of text before each metric.

    Returns:
        The statistics; None if no two neurons of one layer can be compared.
    """
    rows = scorable(annotations)
    layers = Counter(keys[row][:3] for row in rows)
    rows = [row for row in rows if layers[keys[row][:3]] > 1]
    if not rows:
        return None
    columns = {name: [getattr(keys[row], name) for row in rows] for name in NeuronKey._fields}
    names = [*NeuronKey._fields, "annotations"]
    neurons = Dataset.from_dict(
        {**columns, "annotations": [list(annotations[row]) for row in rows]},
        features=Features({name: FEATURES[name] for name in names}),
    )
    task = make_task("all", neurons)
    own = describe(create("oracle"), task).by_fold
    other = describe(WithinLayers(create("shuffled-oracle", seed=seed)), task).by_fold
    statistics = {}
    for metric in metrics:
        notify(metric.info.title)
        both = metric.statistics(task.references, {"own": own, "other": other})
        statistics[metric.name] = both["own"], both["other"]
    return AgreementStatistics(metrics, task.keys, statistics)
