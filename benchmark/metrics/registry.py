"""Metrics by name, for commands, boards and experiments alike.

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
from benchmark.metrics.bounds import CORRECTED
from benchmark.metrics.corrected import Corrected
from benchmark.references import HELD_OUT, Protocol
from benchmark.text_encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER
from milannotations.errors import InputError, did_you_mean
from milannotations.registry import Registry

if TYPE_CHECKING:
    import torch

_M = TypeVar("_M", bound=type[Metric])


@dataclass(frozen=True)
class MetricSettings:
    """The text encoders of the metrics, and the device they run on.

    >>> MetricSettings(device="cuda").device
    'cuda'

    Attributes:
        bertscore_encoder: The encoder of BERTScore; see ``benchmark.text_encoders``.
        sentence_encoder: The encoder of identification, similarity and added metrics.
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


# Constructor arguments of metrics that are variants of another one.
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
    """Raise InputError if an added object is not a metric, or lacks a name of its own."""
    if not (inspect.isclass(metric) and issubclass(metric, Metric)):
        raise InputError(f"{metric!r} is not a subclass of benchmark.metrics.base.Metric")
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
# The default metrics of scores and boards; the first one ranks.
USUAL = ("identification", "bleu", "bertscore")
# ``all`` stands for these and for added metrics. METEOR is left out because it needs WordNet, and
# the ROUGE family is represented by one member.
EVERY = tuple(
    name
    for name in METRICS.built_in
    if name != "meteor" and (not name.startswith("rouge") or name == "rouge-l")
)


def register(metric: _M) -> _M:
    """Add a metric under its ``name``; used as a class decorator.

    Raises:
        InputError: If the class lacks a name or info, or the name is taken.
    """
    return METRICS.register(getattr(metric, "name", ""))(metric)


def names() -> list[str]:
    """Return the names of all metrics."""
    plain = METRICS.names()
    return [*plain, *(f"{name}{CORRECTED}" for name in plain)]


def check_names(wanted: Sequence[str], protocol: Protocol = HELD_OUT) -> list[str]:
    """Return distinct names of metrics, with ``all`` replaced by the names it stands for.

    >>> check_names(["bleu", "bleu-corrected", "bleu"])
    ['bleu', 'bleu-corrected']

    Raises:
        InputError: If a name belongs to no metric, or a metric needs a held-out annotation and the
            protocol holds none out.
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
    """Create metrics by name; ``NAME-corrected`` is the chance-corrected variant of ``NAME``.

    >>> [metric.name for metric in make_metrics(["bleu-2"], MetricSettings())]
    ['bleu-2']

    Raises:
        InputError: If a name belongs to no metric, or a metric cannot be created.
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
    """Create a metric, passing it an encoder and the device if its class takes them."""
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
