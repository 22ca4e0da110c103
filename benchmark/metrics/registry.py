"""Metrics by name, so that commands, boards and suites take the same ones.

To add one, put a subclass of ``Metric`` into a new module below ``benchmark/metrics/``; a package
of your own declares it in the entry-point group ``milannotations.metrics``. Nothing else needs an
edit.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import torch

import benchmark.metrics
from benchmark.encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER
from benchmark.metrics.base import Metric
from benchmark.metrics.corrected import Corrected
from benchmark.references import HELD_OUT, Protocol
from milannotations.errors import InputError, did_you_mean

CORRECTED = "-corrected"
ENTRY_POINT_GROUP = "milannotations.metrics"


@dataclass(frozen=True)
class Settings:
    """What metrics that read sentences need.

    Attributes:
        bertscore_encoder: See ``benchmark.encoders``.
        sentence_encoder: Likewise, of identification, similarity and metrics in new modules.
        device: Where they run.
    """

    bertscore_encoder: str = DEFAULT_BERTSCORE_ENCODER
    sentence_encoder: str = DEFAULT_SENTENCE_ENCODER
    device: torch.device | str = "cpu"


@dataclass(frozen=True)
class _BuiltIn:
    """Where a metric is, so that its name is known without loading the libraries it needs."""

    module: str
    class_name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = "sentence_encoder"


def _rouge_pairs() -> dict[str, _BuiltIn]:
    return {
        f"rouge-{variant}-pairs{'' if statistic == 'f1' else f'-{statistic}'}": _BuiltIn(
            "rouge_pairs", "RougePairs", {"variant": variant, "statistic": statistic}
        )
        for variant in ("1", "2", "l")
        for statistic in ("f1", "precision", "recall")
    }


_BUILT_IN: dict[str, _BuiltIn] = {
    "identification": _BuiltIn("identification", "Identification"),
    "identification-accuracy": _BuiltIn("identification", "IdentificationAccuracy"),
    "identification-mrr": _BuiltIn("identification", "IdentificationRank"),
    "bleu": _BuiltIn("bleu", "Bleu"),
    "bleu-1": _BuiltIn("bleu", "Bleu", {"order": 1}),
    "bleu-2": _BuiltIn("bleu", "Bleu", {"order": 2}),
    "bleu-3": _BuiltIn("bleu", "Bleu", {"order": 3}),
    "rouge-l": _BuiltIn("rouge", "RougeL"),
    "meteor": _BuiltIn("meteor", "Meteor"),
    "meteor-stem": _BuiltIn("meteor", "Meteor", {"synonyms": False}),
    "cider": _BuiltIn("cider", "Cider"),
    "content": _BuiltIn("content", "ContentOverlap"),
    "bertscore": _BuiltIn("bertscore", "BertScore", encoder="bertscore_encoder"),
    "similarity": _BuiltIn("sentence", "SentenceSimilarity"),
    "rouge-1": _BuiltIn("rouge", "Rouge", {"variant": "1"}),
    "rouge-2": _BuiltIn("rouge", "Rouge", {"variant": "2"}),
    **_rouge_pairs(),
}
# Modules that hold no metric by themselves.
_SUPPORT = frozenset({"base", "bounds", "corrected", "modules", "registry"})
# What a board shows unless it is told otherwise, the main number first.
USUAL = ("identification", "bleu", "bertscore")
# What ``all`` stands for, beside metrics in new modules: all that need no data beyond the encoders,
# but one ROUGE.
EVERY = tuple(
    name
    for name in _BUILT_IN
    if name != "meteor" and (not name.startswith("rouge") or name == "rouge-l")
)


def names() -> list[str]:
    """Return the names of all metrics."""
    plain = [*_BUILT_IN, *_added()]
    return [*plain, *(f"{name}{CORRECTED}" for name in plain)]


def check_names(wanted: Sequence[str], protocol: Protocol = HELD_OUT) -> list[str]:
    """Return names of metrics, ``all`` spelled out, each once.

    >>> check_names(["bleu", "bleu-corrected", "bleu"])
    ['bleu', 'bleu-corrected']

    Raises:
        InputError: If there is none of a name, or it needs an annotation held out and the protocol
            holds none out.
    """
    spelled: list[str] = []
    for name in wanted:
        spelled += (*EVERY, *_added()) if name == "all" else (name,)
    for name in spelled:
        if name.removesuffix(CORRECTED) in _BUILT_IN:
            continue
        if name not in names():
            available = ", ".join((*_BUILT_IN, *_added()))
            raise InputError(
                f"no metric is named {name!r}{did_you_mean(name, names())} (metrics: {available}; "
                f"each also with {CORRECTED}; all)"
            )
    corrected = [name for name in spelled if name.endswith(CORRECTED)]
    if corrected and protocol != HELD_OUT:
        raise InputError(
            f"{corrected[0]} compares with a person, who needs an annotation held out; the "
            f"protocol {protocol} holds none out: take {corrected[0].removesuffix(CORRECTED)}, or "
            f"the protocol {HELD_OUT}"
        )
    return list(dict.fromkeys(spelled))


def make_metrics(wanted: Sequence[str], settings: Settings) -> list[Metric]:
    """Make metrics by name; ``<name>-corrected`` is the chance-corrected one.

    Raises:
        InputError: If there is none of a name, or one cannot be made.
    """
    plain: dict[str, Metric] = {}
    metrics = []
    for name in check_names(wanted):
        base = name.removesuffix(CORRECTED)
        if base not in plain:
            plain[base] = _make(base, settings)
        metrics.append(Corrected(plain[base]) if name != base else plain[base])
    return metrics


def _make(name: str, settings: Settings) -> Metric:
    """Make one metric; an argument ``encoder`` or ``device`` of its class is the settings'."""
    built_in = _BUILT_IN.get(name)
    if built_in is not None:
        module = importlib.import_module(f"{benchmark.metrics.__name__}.{built_in.module}")
        factory: type[Metric] = getattr(module, built_in.class_name)
        options, encoder = dict(built_in.options), built_in.encoder
    else:
        factory, options, encoder = _added()[name], {}, "sentence_encoder"
    accepted = inspect.signature(factory).parameters
    if "encoder" in accepted:
        options["encoder"] = getattr(settings, encoder)
    if "device" in accepted:
        options["device"] = settings.device
    try:
        return factory(**options)
    except TypeError as error:
        raise InputError(
            f"metric {name!r} ({factory.__module__}) cannot be made: {error}; a metric's class "
            "takes no arguments but encoder and device"
        ) from error


def _added() -> dict[str, type[Metric]]:
    """Return the metrics of new modules below ``benchmark/metrics/`` and of installed packages.

    Raises:
        InputError: If a module cannot be imported, or a metric has no name or that of another.
    """
    own_modules = {built_in.module for built_in in _BUILT_IN.values()} | _SUPPORT
    added: dict[str, type[Metric]] = {}
    for module in pkgutil.iter_modules(benchmark.metrics.__path__):
        if module.name not in own_modules:
            for metric_class in _metrics_of(_imported(module.name)):
                _add(added, metric_class, metric_class.__module__)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        _add(added, _loaded(point), point.value)
    return added


def _imported(name: str) -> ModuleType:
    full = f"{benchmark.metrics.__name__}.{name}"
    try:
        return importlib.import_module(full)
    except Exception as error:  # whatever a module of somebody else's raises
        raise InputError(f"the metrics in {full} cannot be imported: {error}") from error


def _metrics_of(module: ModuleType) -> Iterator[type[Metric]]:
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and issubclass(value, Metric)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ):
            yield value


def _loaded(point: EntryPoint) -> type[Metric]:
    try:
        value = point.load()
    except Exception as error:
        raise InputError(f"the metric {point.value} cannot be imported: {error}") from error
    if not (inspect.isclass(value) and issubclass(value, Metric)):
        raise InputError(f"{point.value} is no subclass of benchmark.metrics.base.Metric")
    return value


def _add(added: dict[str, type[Metric]], metric: type[Metric], source: str) -> None:
    name = getattr(metric, "name", None)
    if not isinstance(name, str) or not hasattr(metric, "info"):
        raise InputError(f"{source}: the metric {metric.__name__} needs a name and info")
    if name in _BUILT_IN or name in added or name == "all" or name.endswith(CORRECTED):
        raise InputError(f"{source}: a metric cannot be named {name!r}; the name is taken")
    added[name] = metric
