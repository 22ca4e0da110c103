"""Score files of descriptions against a file of annotations, together with people and controls."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmark.comparisons import compare
from benchmark.harness import (
    Notify,
    Predictions,
    Scored,
    Task,
    describe,
    fixed_predictions,
    make_task,
    score,
)
from benchmark.metrics.base import Metric
from benchmark.references import HELD_OUT, Protocol
from benchmark.result import Method
from benchmark.tokenization import normalize
from milannotations.annotations import matched, read_annotations, read_descriptions, to_dataset
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.notices import notify as tell
from milannotations.untrusted_text import clean, clip

_TITLE_TEXT = 150  # characters of a constant in a title, which may have 200
HUMAN = "human"
CONSTANT = "constant-"


def score_files(
    references: Path,
    descriptions: Sequence[Path],
    metrics: Callable[[], Sequence[Metric]],
    *,
    constants: Sequence[str],
    only_described: bool,
    resamples: int,
    seed: int,
    notify: Notify,
    stratify: bool = False,
    protocol: Protocol = HELD_OUT,
) -> tuple[dict[str, Scored], list[Metric], Task]:
    """Score files, people and controls on the same neurons.

    A method is named after its file. The controls are each constant, the most frequent reference
    (a control that has seen the references), a person (one annotation held out), and each method's
    own descriptions assigned to other neurons of the same layer. If no annotation is held out,
    there is no person.

    Args:
        references: File of annotations. A neuron is scored if it has two or more, or one or more if
            none is held out.
        descriptions: One file per method.
        metrics: Makes the metrics; called only after all files have been read and checked.
        constants: Strings to score as controls.
        only_described: Whether to score only the neurons that all files describe.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap and of assigning descriptions to other neurons.
        notify: Called with a line before each long step.
        stratify: Whether the bootstrap resamples within layers.
        protocol: Whether one annotation is held out; see ``benchmark.references``.

    Returns:
        Results by method; the metrics, the main one first; and the task.

    Raises:
        InputError: If a file cannot be used, or fewer than two neurons have enough annotations.
    """
    annotations = read_annotations(references)
    described = {method_name(path): read_descriptions(path) for path in descriptions}
    if len(described) < len(descriptions):
        raise InputError("two description files have the same name; methods are named after files")
    keys = list(annotations)
    for path, (name, by_neuron) in zip(descriptions, described.items(), strict=True):
        try:
            described[name] = matched(annotations, by_neuron, only_described)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        keys = [key for key in keys if key in described[name]]
        _tell_of_wordless(path, described[name].values())
    if len(keys) < len(annotations):
        tell(
            f"{len(keys):,} of {len(annotations):,} annotated neurons are described in every file; "
            "the others are left out"
        )
    task = make_task(references.stem, to_dataset({key: annotations[key] for key in keys}), protocol)
    if len(task.positions) < 2:
        needed = "two annotations" if protocol == HELD_OUT else "annotation"
        raise InputError(f"{references}: fewer than two neurons have the {needed} needed")
    if len(task.positions) < len(task.keys):
        few = len(task.keys) - len(task.positions)
        tell(
            f"{references}: {few:,} of {len(task.keys):,} neurons lack the annotations that "
            "scoring needs, and are left out"
        )
    notify("Loading encoders")
    metric_list = list(metrics())
    methods, predictions = _controls(task, constants)
    for name, by_neuron in described.items():
        texts = [by_neuron[key] for key in task.keys]
        methods[name] = Method(name=name, title=name, kind="method")
        predictions[name, task.name] = fixed_predictions(task, texts)
        shuffled = f"{name[:55]}-shuffled"
        if shuffled in described:
            raise InputError(
                f"the method {shuffled!r} has the name of a control of {name!r}; rename its file"
            )
        methods[shuffled] = Method(
            name=shuffled,
            title=f"{name}, dealt out to the wrong neurons",
            kind="control",
            seed=seed,
        )
        predictions[shuffled, task.name] = fixed_predictions(task, within_layers(task, texts, seed))
    return (
        score(methods, [task], predictions, metric_list, resamples, seed, notify, stratify),
        metric_list,
        task,
    )


def _tell_of_wordless(path: Path, texts: Collection[str]) -> None:
    """Report how many descriptions contain no word that a metric could use."""
    wordless = sum(not normalize(text) for text in texts)
    if wordless:
        tell(
            f"{path}: {wordless:,} of {len(texts):,} descriptions hold no word; they are scored as "
            "empty texts"
        )


def differences(
    scored: Mapping[str, Scored], metric: Metric, split: str, resamples: int, seed: int
) -> pd.DataFrame:
    """Compare all methods, people and the best constant on one metric; see ``compare``."""

    def value(name: str) -> float:
        return scored[name].result.splits[split].scores[metric.name].value

    best_constant = max((n for n in scored if n.startswith(CONSTANT)), key=value)
    people = [HUMAN] if HUMAN in scored else []
    methods = [name for name, s in scored.items() if s.result.method.kind == "method"]
    return compare(scored, metric, split, [*people, *methods, best_constant], resamples, seed)


def lines(table: pd.DataFrame, scored: Mapping[str, Scored], metric: Metric) -> list[str]:
    """Return each difference as one line of text."""
    return [
        f"{metric.info.title}: {scored[row.first].result.method.title} − "
        f"{scored[row.second].result.method.title} = {row.difference:+.3f} "
        f"[{row.low:+.3f}, {row.high:+.3f}], p = {row.p:.4f}, with all pairs {row.p_holm:.4f} "
        f"(Holm), d = {row.effect:.2f}, better on {row.superiority:.0%}"
        for row in table.itertuples()
    ]


def _controls(
    task: Task, constants: Sequence[str]
) -> tuple[dict[str, Method], dict[tuple[str, str], Predictions]]:
    methods: dict[str, Method] = {}
    predictions: dict[tuple[str, str], Predictions] = {}
    if task.protocol == HELD_OUT:
        methods[HUMAN] = Method(
            name=HUMAN,
            title="human (one annotator held out)",
            kind="human",
            annotations_seen="the held-out annotation itself",
        )
        predictions[HUMAN, task.name] = describe(create("oracle"), task)
    frequent = create("constant-frequent")
    frequent.fit(task.neurons)
    name = f"{CONSTANT}frequent"
    text = frequent.describe(task.neurons.select([0]))[0].text
    methods[name] = Method(
        name=name,
        title=f'constant "{clip(clean(text), _TITLE_TEXT)}" (most frequent reference)',
        kind="control",
        annotations_seen="all references",
    )
    predictions[name, task.name] = describe(frequent, task)
    for text in dict.fromkeys(constants):
        name = _constant_name(text, methods)
        title = f'constant "{clip(clean(text), _TITLE_TEXT)}"'
        methods[name] = Method(name=name, title=title, kind="control")
        predictions[name, task.name] = describe(create("constant", text=text), task)
    return methods, predictions


def _constant_name(text: str, taken: Collection[str]) -> str:
    """Return a name for a constant; it ends in a hash if its words alone are not unique."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48]
    name = CONSTANT + (words or ("other" if text.strip() else "empty"))
    if (words and name not in taken) or not text.strip():
        return name
    return f"{name[:54]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def method_name(path: Path) -> str:
    """Return the name of a file's method.

    Raises:
        InputError: If the file's name yields no name, or that of a control.

    >>> method_name(Path("results/My method.csv"))
    'my-method'
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:55]
    if not name:
        raise InputError(f"{path}: a method is named after its file; use letters or digits")
    if name == HUMAN or name.startswith(CONSTANT):
        raise InputError(f"{path}: the name {name!r} belongs to a control; rename the file")
    return name


def within_layers(task: Task, texts: Sequence[str], seed: int) -> list[str]:
    """Return the descriptions, randomly permuted within each layer."""
    rng = random.Random(seed)
    layers: dict[tuple[str, ...], list[int]] = {}
    for position, key in enumerate(task.keys):
        layers.setdefault((key.model, key.dataset, key.layer), []).append(position)
    permuted = list(texts)
    for members in layers.values():
        for to, source in zip(members, rng.sample(members, len(members)), strict=True):
            permuted[to] = texts[source]
    return permuted
