"""Metrics as modules of Hugging Face's evaluate: ``evaluate.load("benchmark/metrics/bleu.py")``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import evaluate
from datasets import Features, List, Value

from benchmark.metrics.base import Metric

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
    neuron. It returns the metric's value under the metric's name, each neuron's own value under
    ``per_neuron``, and the ``signature``. All references are used: holding annotations out, so that
    people and methods are scored alike, is left to the harness. ``groups=…`` names each neuron's
    layer for the metrics that compare the neurons of one layer; by default all neurons are of one
    layer. Further arguments, such as ``encoder``, are passed to the metric.
    """

    @property
    @abstractmethod
    def metric(self) -> type[Metric]:
        """The metric; a class attribute in subclasses."""

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
        metric = self.metric(**options)
        statistics = metric.method_statistics(predictions, references, groups)
        return {
            metric.name: float(metric.aggregate(statistics.sum(0))),
            "per_neuron": metric.per_neuron(statistics).tolist(),
            "signature": metric.signature,
        }
