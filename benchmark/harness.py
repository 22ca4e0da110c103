"""Run describers on neurons and score what they say."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset

from benchmark.consistency import averages
from benchmark.intervals import RESAMPLES, bootstrap
from benchmark.metrics.base import Floats, Metric, References
from benchmark.references import HELD_OUT, RULES, Fold, Protocol, folds_of, scorable, signed
from benchmark.result import Method, Result, Score, SplitResult
from benchmark.result_files import save_result_files
from benchmark.tokenization import normalize
from milannotations.describer import Describer, Description
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint, known_as
from milannotations.provenance import warn_of_other_kind
from milannotations.record import FEATURES, NeuronKey, keys_of

_LIBRARIES = ("milannotations", "torch", "transformers", "datasets", "sacrebleu", "bert-score")
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """The neurons of one split, with what scoring needs of them worked out once.

    Attributes:
        name: The split.
        neurons: All its neurons.
        keys: Their keys.
        positions: Which of them have the annotations that scoring needs.
        folds: The references of those.
        groups: The layer of each of those, across models.
        protocol: Whether one annotation is held out; see ``benchmark.references``.
    """

    name: str
    neurons: Dataset
    keys: list[NeuronKey]
    positions: list[int]
    folds: list[Fold]
    groups: list[str]
    protocol: Protocol = HELD_OUT

    @cached_property
    def references(self) -> References:
        """The references of the neurons that can be scored."""
        return References(self.folds, self.groups, keys=[self.keys[i] for i in self.positions])

    @cached_property
    def without_references(self) -> References:
        """All neurons without any reference, for metrics that need none."""
        return References([], [_layer(key) for key in self.keys], keys=self.keys)


@dataclass
class Predictions:
    """One method's descriptions of one split.

    Attributes:
        descriptions: One description per neuron, as the method wrote it.
        by_fold: For each fold one normalized description per scorable neuron.
        seconds: Time it took to describe.
    """

    descriptions: list[str]
    by_fold: list[list[str]]
    seconds: float = 0.0


@dataclass
class Scored:
    """A result, the table that belongs to it, and its statistics for paired tests."""

    result: Result
    per_neuron: pd.DataFrame
    statistics: dict[tuple[str, str], Floats] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Write the result and its table to a folder, and return the path of the JSON."""
        return save_result_files(self.result, folder, self.per_neuron)


def make_task(name: str, neurons: Dataset, protocol: Protocol = HELD_OUT) -> Task:
    """Prepare a split for scoring under a protocol; see ``benchmark.references``."""
    annotations = list(neurons["annotations"])
    positions = scorable(annotations, protocol)
    keys = keys_of(neurons)
    return Task(
        name=name,
        neurons=neurons,
        keys=keys,
        positions=positions,
        folds=folds_of([annotations[i] for i in positions], protocol),
        groups=[_layer(keys[i]) for i in positions],
        protocol=protocol,
    )


def describe(describer: Describer, task: Task) -> Predictions:
    """Let a describer describe a split.

    It never sees the annotations it is scored against: they are taken away, or, for controls
    that are made of references, only the one held out in each fold is left.

    Raises:
        InputError: If it does not give one description per neuron, or is made of references and
            the task holds none out.
    """
    if describer.sees_references and task.protocol != HELD_OUT:
        raise InputError(
            f"{type(describer).__name__} says references that are held out, and the protocol "
            f"{task.protocol} holds none out"
        )
    warn_of_other_kind(describer, task.neurons)
    start = time.perf_counter()
    if not describer.sees_references:
        bare = _with_annotations(task.neurons, [[]] * len(task.neurons))
        shown = [d.text for d in _checked(describer, bare)]
        scored = [normalize(shown[i]) for i in task.positions]
        predictions = [scored] * len(task.folds)
    else:
        predictions, shown = [], [""] * len(task.neurons)
        part = task.neurons.select(task.positions)
        for fold in task.folds:
            texts = [
                d.text
                for d in _checked(describer, _with_annotations(part, [[t] for t in fold.held_out]))
            ]
            if not predictions:
                for position, text in zip(task.positions, texts, strict=True):
                    shown[position] = text
            predictions.append([normalize(text) for text in texts])
    return Predictions(shown, predictions, time.perf_counter() - start)


def fixed_predictions(task: Task, texts: Sequence[str]) -> Predictions:
    """Return the predictions of a method whose descriptions are already written."""
    scored = [normalize(texts[i]) for i in task.positions]
    return Predictions(list(texts), [scored] * len(task.folds))


def score(
    methods: Mapping[str, Method],
    tasks: Sequence[Task],
    predictions: Mapping[tuple[str, str], Predictions],
    metrics: Sequence[Metric],
    resamples: int = RESAMPLES,
    seed: int = 0,
    notify: Notify = lambda _: None,
    stratify: bool = False,
) -> dict[str, Scored]:
    """Score all methods on all splits.

    Args:
        methods: Who they are, by name.
        tasks: The splits.
        predictions: Descriptions by (method, split); a method may miss a split.
        metrics: What to measure; each metric sees all methods of a split at once.
        resamples: Bootstrap resamples over neurons.
        seed: Seed of the bootstrap.
        notify: Called with a line of text before each metric of each split.
        stratify: Draw as many neurons from each layer of each model as it has.

    Returns:
        A result for every method, in the order of ``methods``. A metric that has no value for a
        method, as a chance-corrected one where people gain nothing over chance, is left out.
    """
    splits: dict[str, dict[str, SplitResult]] = {name: {} for name in methods}
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in methods}
    statistics: dict[str, dict[tuple[str, str], Floats]] = {name: {} for name in methods}
    means = {metric.name: metric.is_mean for metric in metrics}
    for task in tasks:
        content = fingerprint(task.neurons)
        present = {n: predictions[n, task.name] for n in methods if (n, task.name) in predictions}
        for name, prediction in present.items():
            splits[name][task.name] = SplitResult(
                fingerprint=content,
                config=known_as(content) or "",
                neurons=len(task.neurons),
                scored=len(task.positions),
                references=RULES[task.protocol] if task.positions else "",
                protocol=task.protocol,
            )
            tables[name].append(
                pd.DataFrame(task.keys, columns=list(NeuronKey._fields)).assign(
                    split=task.name, description=prediction.descriptions
                )
            )
        for metric in metrics:
            if metric.needs_references:
                references, positions = task.references, task.positions
                signature = signed(metric.signature, task.protocol)
                by_fold = {n: p.by_fold for n, p in present.items()}
            else:
                references, positions = task.without_references, list(range(len(task.keys)))
                signature = metric.signature
                by_fold = {n: [[normalize(t) for t in p.descriptions]] for n, p in present.items()}
            if len(positions) < 2:
                continue
            notify(f"{metric.info.title} on {task.name}")
            for name, values in metric.statistics(references, by_fold).items():
                interval = bootstrap(
                    metric, values, resamples, seed, references.groups if stratify else None
                )
                if not all(map(math.isfinite, (interval.value, interval.low, interval.high))):
                    continue
                splits[name][task.name].scores[metric.name] = Score(
                    value=interval.value,
                    low=interval.low,
                    high=interval.high,
                    n=len(positions),
                    signature=signature,
                )
                statistics[name][task.name, metric.name] = values
                own = metric.per_neuron(values)
                means[metric.name] &= averages(own, interval.value)
                tables[name][-1].loc[positions, metric.name] = own
    return {
        name: Scored(
            Result(
                method=method,
                metrics={
                    metric.name: metric.info.model_copy(update={"mean": means[metric.name]})
                    for metric in metrics
                },
                splits=splits[name],
                versions={library: version(library) for library in _LIBRARIES},
                hardware=_hardware(),
                seed=seed,
                resamples=resamples,
                wall_time_s=sum(p.seconds for (n, _), p in predictions.items() if n == name),
            ),
            pd.concat(tables[name], ignore_index=True),
            statistics[name],
        )
        for name, method in methods.items()
    }


def _layer(key: NeuronKey) -> str:
    return f"{key.model}/{key.dataset}/{key.layer}"


def _checked(describer: Describer, neurons: Dataset) -> list[Description]:
    found = describer.describe(neurons)
    if len(found) != len(neurons):
        raise InputError(
            f"describer {type(describer).__name__} gave {len(found)} descriptions for "
            f"{len(neurons)} neurons"
        )
    return found


def _with_annotations(neurons: Dataset, annotations: list[list[str]]) -> Dataset:
    kept = neurons.remove_columns("annotations")
    return kept.add_column("annotations", annotations, feature=FEATURES["annotations"])


def _hardware() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {gpu}"
