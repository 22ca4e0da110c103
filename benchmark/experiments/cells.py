"""Cells: one method, trained on one side of a split and scored on the other, in one trial.

Each is a file of its own, written when it is done, so that an interrupted experiment goes on where
it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from pydantic import Field

from benchmark.harness import Predictions, Task, describe, make_task, score
from benchmark.metrics.base import Metric
from benchmark.references import HELD_OUT, Protocol
from benchmark.result import Method, Score
from benchmark.splits.definitions import Split
from milannotations.contents import contents_named_in
from milannotations.describer import accepts, create
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.json_files import StrictModel, read_model
from milannotations.notices import notify
from milannotations.reading import is_there
from milannotations.storage import atomic_path
from milannotations.untrusted_text import clip

# Controls that every test set is scored with: the scale that methods are read on.
ORACLE, SHUFFLED = "oracle", "shuffled-oracle"
CONTROLS = (ORACLE, SHUFFLED)


@dataclass(frozen=True)
class MethodConfig:
    """A method of an experiment.

    Attributes:
        name: What the tables call it.
        describer: Its registered name.
        options: Of the describer.
    """

    name: str
    describer: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Cell(StrictModel):
    """What one method scored.

    Attributes:
        family: Of the split.
        split: Its name.
        train: What was learnt from.
        test: What was described.
        method: The method.
        trial: Number of the trial; the seed of all that is drawn.
        neurons: Neurons scored.
        scores: By metric.
        seconds: Time to train and describe.
        data: Name of the universe; empty in cells of earlier versions.
        protocol: Whether one reference was held out; see ``benchmark.references``.
        describer: Registered name of the method.
        options: Of the describer.
    """

    family: str
    split: str
    train: str
    test: str
    method: str
    trial: int
    neurons: int
    scores: dict[str, Score]
    seconds: float
    data: str = ""
    protocol: Protocol = HELD_OUT
    describer: str = ""
    options: dict[str, Any] = Field(default_factory=dict)


def run_cell(
    split: Split,
    method: MethodConfig,
    trial: int,
    train: Dataset,
    test: Dataset,
    metrics: Sequence[Metric],
    folder: Path,
    device: str,
    resamples: int,
    data: str = "",
    protocol: Protocol = HELD_OUT,
) -> Cell:
    """Return a cell, from its file if it is done.

    Args:
        split: The split.
        method: The method.
        trial: Number of the trial.
        train: Neurons to learn from.
        test: Neurons to describe.
        metrics: What to measure.
        folder: Where cells are kept.
        device: Where the method runs.
        resamples: Bootstrap resamples over neurons.
        data: Name of the universe.
        protocol: Which references a description meets; see ``benchmark.references``.

    Raises:
        InputError: If the method cannot be made, trained or run.
    """
    identity: dict[str, Any] = {
        "split": [split.family, split.name],
        "train": fingerprint(train),
        "test": fingerprint(test),
        "describer": method.describer,
        "options": dict(method.options),
        "trial": trial,
        "metrics": [metric.signature for metric in metrics],
        "resamples": resamples,
    }
    contents = contents_named_in(method.options.values())
    if contents:
        # Files and folders may hold something else by now. Left out where there are none, so that
        # earlier cells are found.
        identity["contents"] = contents
    if protocol != HELD_OUT:  # the default is left out, so that earlier cells are found
        identity["protocol"] = protocol
    facts: dict[str, Any] = {
        "data": data, "protocol": protocol, "describer": method.describer,
        "options": dict(method.options),
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    place = folder / f"{split.family}-{split.name}-{method.name}-{trial}-{digest}.json"
    done = _kept(place)
    if done is not None:
        return done.model_copy(update=facts)

    start = time.perf_counter()
    task = make_task("test", test, protocol)
    predictions = _described(method, trial, train, task, device)
    seconds = time.perf_counter() - start
    result_method = Method(name="method", title=clip(method.name, 200))
    scored = score(
        {"method": result_method},
        [task],
        {("method", "test"): predictions},
        metrics,
        resamples,
        trial,
    )["method"]
    cell = Cell(
        family=split.family, split=split.name, train=split.train, test=split.test,
        method=method.name, trial=trial, neurons=len(task.positions),
        scores=scored.result.splits["test"].scores, seconds=seconds, **facts,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(place) as path:
        path.write_text(cell.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return cell


def _described(
    method: MethodConfig, trial: int, train: Dataset, task: Task, device: str
) -> Predictions:
    options = dict(method.options)
    for name, value in (("device", device), ("seed", trial)):
        if accepts(method.describer, name):
            options.setdefault(name, value)
    describer = create(method.describer, **options)
    describer.fit(train)
    return describe(describer, task)


def _kept(place: Path) -> Cell | None:
    if not is_there(place):
        return None
    try:
        return read_model(place, Cell, whole="cell")
    except InputError as error:  # damaged, or of another version
        notify(f"{error}; it is run again")
        return None
