"""Metrics as modules of Hugging Face's evaluate: ``evaluate.load("benchmark/metrics/bleu.py")``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from benchmark.metrics.base import Metric, References
from benchmark.references import Fold
from benchmark.tokenization import normalize
from milannotations.errors import InputError

_CITATION = """@inproceedings{hernandez2022natural,
  title={Natural Language Descriptions of Deep Visual Features},
  author={Hernandez, Evan and Schwettmann, Sarah and Bau, David and Bagashvili, Teona and
          Torralba, Antonio and Andreas, Jacob},
  booktitle={International Conference on Learning Representations},
  year={2022}
}"""


class EvaluateModule(evaluate.Metric, ABC):
    """A metric as a module of evaluate; ``evaluate_module`` makes one for each metric.

    ``compute(predictions=…, references=…)`` takes one description and one list of references per
    neuron, and gives the metric's value under its name, each neuron's own under ``per_neuron`` and
    the ``signature``. The references are used as they are given: holding annotations out, so that
    people and methods are scored alike, is the harness's. ``groups=…`` names each neuron's layer
    for the metrics that compare the neurons of one layer; default all of one. Further arguments,
    such as ``encoder``, are the metric's own.
    """

    @property
    @abstractmethod
    def metric(self) -> type[Metric]:
        """Which metric; a class attribute in subclasses."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.metric.__doc__ or "",
            citation=_CITATION,
            inputs_description=EvaluateModule.__doc__ or "",
            features=Features(
                {"predictions": Value("string"), "references": List(Value("string"))}
            ),
        )

    def _compute(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        groups: Sequence[str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        texts = [normalize(text) for text in predictions]
        cleaned = [[normalize(text) for text in of_one] for of_one in references]
        lacking = next((i for i, of_one in enumerate(cleaned) if not any(of_one)), None)
        if lacking is not None:
            raise InputError(f"neuron number {lacking} has no reference")
        layers = list(groups) if groups is not None else [""] * len(texts)
        if len(layers) != len(texts):
            raise InputError(f"{len(layers)} groups for {len(texts)} predictions")
        metric = self.metric(**options)
        fold = Fold([""] * len(texts), [[r for r in of_one if r] for of_one in cleaned])
        statistics = metric.statistics(References([fold], layers), {"": [texts]})[""]
        return {
            metric.name: float(metric.aggregate(statistics.sum(0))),
            "per_neuron": metric.per_neuron(statistics).tolist(),
            "signature": metric.signature,
        }
