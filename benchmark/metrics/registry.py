"""Metrics by name, so that commands, boards and suites take the same ones.

To add one, decorate a subclass of ``Metric`` with ``@register``; ``milannotations.registry`` says
in which modules it is found.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from benchmark.config import EncodersConfig
from benchmark.metrics.base import Metric
from benchmark.metrics.corrected import Corrected
from benchmark.references import HELD_OUT, Protocol
from benchmark.text_encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER
from milannotations.errors import InputError, did_you_mean
from milannotations.registry import Registry

if TYPE_CHECKING:
    import torch

CORRECTED = "-corrected"
_M = TypeVar("_M", bound=type[Metric])


@dataclass(frozen=True)
class MetricSettings:
    """What metrics that read sentences need.

    Attributes:
        bertscore_encoder: The encoder of BERTScore; see ``benchmark.text_encoders``.
        sentence_encoder: The encoder of identification, similarity and metrics that others add.
        device: Where the encoders run.
    """

    bertscore_encoder: str = DEFAULT_BERTSCORE_ENCODER
    sentence_encoder: str = DEFAULT_SENTENCE_ENCODER
    device: torch.device | str = "cpu"

    @classmethod
    def of(cls, config: EncodersConfig, device: torch.device | str) -> MetricSettings:
        """Return the settings of a config: one encoder for all metrics, or each its own."""
        return cls(
            config.encoder or config.bertscore_encoder,
            config.encoder or config.sentence_encoder,
            device,
        )


# Arguments of the metrics that are variants of another one.
_ROUGE_PAIRS: dict[str, Mapping[str, Any]] = {
    f"rouge-{variant}-pairs{'' if statistic == 'f1' else f'-{statistic}'}": {
        "variant": variant,
        "statistic": statistic,
    }
    for variant in ("1", "2", "l")
    for statistic in ("f1", "precision", "recall")
}
_ARGUMENTS: dict[str, Mapping[str, Any]] = {
    "bleu-1": {"order": 1},
    "bleu-2": {"order": 2},
    "bleu-3": {"order": 3},
    "meteor-stem": {"synonyms": False},
    "rouge-1": {"variant": "1"},
    "rouge-2": {"variant": "2"},
    **_ROUGE_PAIRS,
}


def _check(name: str, metric: Any) -> None:
    """Raise InputError if what others register is no metric, or has no name of its own."""
    if not (inspect.isclass(metric) and issubclass(metric, Metric)):
        raise InputError(f"{metric!r} is no subclass of benchmark.metrics.base.Metric")
    source = f"{metric.__module__}: the metric {metric.__name__}"
    if not isinstance(getattr(metric, "name", None), str) or not hasattr(metric, "info"):
        raise InputError(f"{source} needs a name and info")
    if metric.name != name:
        raise InputError(f"{source} has the name {metric.name!r}, but is registered as {name!r}")
    if name == "all" or name.endswith(CORRECTED):
        raise InputError(f"{source} cannot be named {name!r}; the name is taken")


METRICS: Registry[type[Metric]] = Registry(
    "metric",
    {
        "identification": "benchmark.metrics.identification:Identification",
        "identification-accuracy": "benchmark.metrics.identification:IdentificationAccuracy",
        "identification-mrr": "benchmark.metrics.identification:IdentificationRank",
        "bleu": "benchmark.metrics.bleu:Bleu",
        "bleu-1": "benchmark.metrics.bleu:Bleu",
        "bleu-2": "benchmark.metrics.bleu:Bleu",
        "bleu-3": "benchmark.metrics.bleu:Bleu",
        "rouge-l": "benchmark.metrics.rouge:RougeL",
        "meteor": "benchmark.metrics.meteor:Meteor",
        "meteor-stem": "benchmark.metrics.meteor:Meteor",
        "cider": "benchmark.metrics.cider:Cider",
        "content": "benchmark.metrics.content:ContentOverlap",
        "bertscore": "benchmark.metrics.bertscore:BertScore",
        "similarity": "benchmark.metrics.sentence:SentenceSimilarity",
        "rouge-1": "benchmark.metrics.rouge:Rouge",
        "rouge-2": "benchmark.metrics.rouge:Rouge",
        **dict.fromkeys(_ROUGE_PAIRS, "benchmark.metrics.rouge_pairs:RougePairs"),
    },
    group="milannotations.metrics",
    package="benchmark.metrics",
    check=_check,
)
# What a board shows unless it is told otherwise, the main number first.
USUAL = ("identification", "bleu", "bertscore")
# What ``all`` stands for, beside the metrics that others have added: all that need no data beyond
# the encoders, but only one of the ROUGE family.
EVERY = tuple(
    name
    for name in METRICS.built_in
    if name != "meteor" and (not name.startswith("rouge") or name == "rouge-l")
)


def register(metric: _M) -> _M:
    """Make a metric available under its ``name``; a class decorator.

    Raises:
        InputError: If it has no name or info, or the name is taken.
    """
    return METRICS.register(getattr(metric, "name", ""))(metric)


def names() -> list[str]:
    """Return the names of all metrics."""
    plain = METRICS.names()
    return [*plain, *(f"{name}{CORRECTED}" for name in plain)]


def check_names(wanted: Sequence[str], protocol: Protocol = HELD_OUT) -> list[str]:
    """Return names of metrics, ``all`` replaced by the names it stands for, each once.

    >>> check_names(["bleu", "bleu-corrected", "bleu"])
    ['bleu', 'bleu-corrected']

    Raises:
        InputError: If no metric has one of the names, or a metric needs an annotation held out and
            the protocol holds none out.
    """
    expanded: list[str] = []
    for name in wanted:
        expanded += (*EVERY, *METRICS.added()) if name == "all" else (name,)
    for name in expanded:
        if name.removesuffix(CORRECTED) not in METRICS:
            raise InputError(
                f"no metric is named {name!r}{did_you_mean(name, names())} (metrics: "
                f"{', '.join(METRICS.names())}; each also with {CORRECTED}; all)"
            )
    corrected = [name for name in expanded if name.endswith(CORRECTED)]
    if corrected and protocol != HELD_OUT:
        raise InputError(
            f"{corrected[0]} compares with a person, who needs an annotation held out; the "
            f"protocol {protocol} holds none out: take {corrected[0].removesuffix(CORRECTED)}, or "
            f"the protocol {HELD_OUT}"
        )
    return list(dict.fromkeys(expanded))


def make_metrics(wanted: Sequence[str], settings: MetricSettings) -> list[Metric]:
    """Make metrics by name; ``<name>-corrected`` is the chance-corrected one.

    >>> [metric.name for metric in make_metrics(["bleu-2"], MetricSettings())]
    ['bleu-2']

    Raises:
        InputError: If no metric has one of the names, or a metric cannot be made.
    """
    plain: dict[str, Metric] = {}
    metrics = []
    for name in check_names(wanted):
        base = name.removesuffix(CORRECTED)
        if base not in plain:
            plain[base] = _make(base, settings)
        metrics.append(Corrected(plain[base]) if name != base else plain[base])
    return metrics


def _make(name: str, settings: MetricSettings) -> Metric:
    """Make one metric; arguments ``encoder`` and ``device`` of its class come from the settings."""
    metric = METRICS.get(name)
    arguments = dict(_ARGUMENTS.get(name, {}))
    accepted = inspect.signature(metric).parameters
    if "encoder" in accepted:
        is_bertscore = name == "bertscore"
        arguments["encoder"] = (
            settings.bertscore_encoder if is_bertscore else settings.sentence_encoder
        )
    if "device" in accepted:
        arguments["device"] = settings.device
    try:
        return metric(**arguments)
    except TypeError as error:
        raise InputError(
            f"metric {name!r} ({metric.__module__}) cannot be made: {error}; a metric's class "
            "takes no arguments but encoder and device"
        ) from error
