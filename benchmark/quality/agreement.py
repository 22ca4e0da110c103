"""How far annotators agree: each annotation in turn against the others of its neuron.

The numbers are the benchmark's own (``benchmark.harness``), so a method's scores can be put
beside them. What people agree on by chance is measured the same way, with the held-out
annotations dealt out to other neurons of the same layer.
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

    With annotations as descriptions it is the share of pairs of annotators who said the same.
    """

    name = "exact-match"
    info = MetricInfo(
        title="Exact match", description="share of references that the description equals"
    )

    @property
    def signature(self) -> str:
        """Equality after normalization."""
        return "exact-match|case:lc|strip:spaces-and-full-stops|mean-over-references"

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return each neuron's share summed over folds, and the number of folds."""
        statistics = {}
        for name, by_fold in predictions.items():
            sums = np.zeros((references.neurons, 2))
            for fold, texts in zip(references.folds, by_fold, strict=True):
                for i, (text, targets) in enumerate(zip(texts, fold.references, strict=True)):
                    sums[i] += targets.count(text) / len(targets), 1
            statistics[name] = sums
        return statistics


class WithinLayers:
    """A describer that another one runs for, layer by layer."""

    sees_references: ClassVar[bool] = True

    def __init__(self, inner: Describer) -> None:
        self._inner = inner

    def fit(self, neurons: Dataset) -> None:
        """Learn nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe the neurons of each layer by themselves; the order is that of ``neurons``."""
        layers: dict[tuple[str, ...], list[int]] = {}
        for row, key in enumerate(keys_of(neurons)):
            layers.setdefault(key[:3], []).append(row)
        found: dict[int, Description] = {}
        for rows in layers.values():
            found |= zip(rows, self._inner.describe(neurons.select(rows)), strict=True)
        return [found[row] for row in range(len(neurons))]


@dataclass(frozen=True)
class AgreementStatistics:
    """Statistics of agreement, from which that of any part can be summed.

    Attributes:
        metrics: What was measured.
        keys: The neurons that were compared.
        statistics: By metric: of their own annotations, and of those dealt out; one row each.
    """

    metrics: Sequence[Metric]
    keys: Sequence[NeuronKey]
    statistics: Mapping[str, tuple[Floats, Floats]]

    def of(
        self, belongs: Callable[[NeuronKey], Hashable], resamples: int, seed: int
    ) -> dict[Hashable, dict[str, Agreement]]:
        """Return the agreement in every part.

        Args:
            belongs: Says to which part a neuron belongs.
            resamples: Of the bootstrap over the neurons of a part.
            seed: Of the bootstrap.
        """
        rows: dict[Hashable, list[int]] = {}
        for row, key in enumerate(self.keys):
            rows.setdefault(belongs(key), []).append(row)

        def scored(metric: Metric, statistics: Floats) -> Score:
            found = bootstrap(metric, statistics, resamples, seed)
            return Score(
                value=found.value,
                low=found.low,
                high=found.high,
                n=len(statistics),
                signature=metric.signature,
            )

        return {
            part: {
                metric.name: Agreement(
                    own=scored(metric, self.statistics[metric.name][0][members]),
                    other=scored(metric, self.statistics[metric.name][1][members]),
                )
                for metric in self.metrics
            }
            for part, members in rows.items()
        }


def make_metrics(encoder: str | None, device: str) -> list[Metric]:
    """Return the metrics of agreement; those that need an encoder only where one is named.

    Raises:
        InputError: If the encoder or the device cannot be had.
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
        keys: Of all neurons.
        annotations: Of each of them. Neurons with fewer than two usable ones are left out, and
            so is a neuron that is then alone in its layer.
        metrics: What to measure.
        seed: Of dealing annotations out.
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
        found = metric.statistics(task.references, {"own": own, "other": other})
        statistics[metric.name] = found["own"], found["other"]
    return AgreementStatistics(metrics, task.keys, statistics)
