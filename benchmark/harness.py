"""Run describers on neurons and score their descriptions."""

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
from milannotations.describer import Describer
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint, known_as
from milannotations.provenance import warn_of_other_kind
from milannotations.record import FEATURES, NeuronKey, keys_of

_LIBRARIES = ("milannotations", "torch", "transformers", "datasets", "sacrebleu", "bert-score")
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """The neurons of one split, with everything that scoring derives from them.

    Attributes:
        name: Name of the split.
        neurons: All neurons of the split.
        keys: Their keys.
        positions: Positions of the neurons that can be scored: those with enough annotations.
        folds: The references of the scorable neurons.
        groups: The layer of each scorable neuron, unique across models.
        protocol: Whether one annotation is held out; see ``benchmark.references``.

    >>> from milannotations.annotations import to_dataset
    >>> key = NeuronKey("alexnet", "imagenet", "conv1", 0)
    >>> task = make_task("test", to_dataset({key: ["a dog", "dogs"]}))
    >>> task.positions, len(task.folds), task.groups
    ([0], 2, ['alexnet/imagenet/conv1'])
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

    >>> Predictions(["A dog."], [["a dog"]]).by_fold[0]
    ['a dog']
    """

    descriptions: list[str]
    by_fold: list[list[str]]
    seconds: float = 0.0


@dataclass
class Scored:
    """A result, its per-neuron table, and its statistics for paired tests.

    Attributes:
        result: The result.
        per_neuron: One row per neuron; see ``benchmark.per_neuron``.
        statistics: Statistics per neuron by (split, metric).
    """

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

    It never sees the annotations that it is scored against: they are removed or, for controls that
    repeat references, replaced by the annotation held out in each fold.

    Raises:
        InputError: If it does not return one description per neuron, or repeats references and the
            task holds none out.
    """
    if describer.sees_references and task.protocol != HELD_OUT:
        raise InputError(
            f"{type(describer).__name__} says references that are held out, and the protocol "
            f"{task.protocol} holds none out"
        )
    warn_of_other_kind(describer, task.neurons)
    start = time.perf_counter()
    if not describer.sees_references:
        without = _with_annotations(task.neurons, [[]] * len(task.neurons))
        descriptions = _texts(describer, without)
        by_fold = [[normalize(descriptions[i]) for i in task.positions]] * len(task.folds)
    else:
        by_fold, descriptions = [], [""] * len(task.neurons)
        scorable_neurons = task.neurons.select(task.positions)
        for fold in task.folds:
            held_out = _with_annotations(scorable_neurons, [[text] for text in fold.held_out])
            texts = _texts(describer, held_out)
            if not by_fold:
                for position, text in zip(task.positions, texts, strict=True):
                    descriptions[position] = text
            by_fold.append([normalize(text) for text in texts])
    return Predictions(descriptions, by_fold, time.perf_counter() - start)


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
        methods: The methods by name.
        tasks: The splits.
        predictions: Descriptions by (method, split); a method may lack a split.
        metrics: The metrics; each gets the predictions of all methods of a split at once.
        resamples: Bootstrap resamples over neurons.
        seed: Seed of the bootstrap.
        notify: Called with a line of text before each metric of each split.
        stratify: Whether the bootstrap resamples neurons within each layer of each model.

    Returns:
        A result for every method, in the order of ``methods``. A metric without a value for a
        method is left out: for example a chance-corrected metric if people gain nothing over
        chance.
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


def _texts(describer: Describer, neurons: Dataset) -> list[str]:
    descriptions = describer.describe(neurons)
    if len(descriptions) != len(neurons):
        raise InputError(
            f"describer {type(describer).__name__} gave {len(descriptions)} descriptions for "
            f"{len(neurons)} neurons"
        )
    return [description.text for description in descriptions]


def _with_annotations(neurons: Dataset, annotations: list[list[str]]) -> Dataset:
    others = neurons.remove_columns("annotations")
    return others.add_column("annotations", annotations, feature=FEATURES["annotations"])


def _hardware() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {gpu}"
