"""Cells: one method, trained on one side of a split and scored on the other, in one trial.

Each cell is a file, written when the cell is finished, so that an interrupted experiment continues
with the next cell.
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
from milannotations.storage.tidying import tidy_up
from milannotations.untrusted_text import clip

# Controls that are scored on every test set; they define the scale for the methods.
ORACLE, SHUFFLED = "oracle", "shuffled-oracle"
CONTROLS = (ORACLE, SHUFFLED)


@dataclass(frozen=True)
class MethodConfig:
    """A method of an experiment.

    Attributes:
        name: Its name in tables.
        describer: The registered name of the describer.
        options: Options of the describer.

    >>> MethodConfig("mine", "constant", {"text": "objects"}).describer
    'constant'
    """

    name: str
    describer: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Cell(StrictModel):
    """The scores of one method in one trial.

    Attributes:
        family: Family of the split.
        split: Name of the split.
        train: Name of the side that was learned from.
        test: Name of the side that was described.
        method: Name of the method.
        trial: Number of the trial, which is also the seed of everything that is drawn.
        neurons: Number of scored neurons.
        scores: Scores by metric.
        seconds: Time for training and describing.
        data: Name of the annotated networks; empty in cells of earlier versions.
        protocol: Whether one reference was held out; see ``benchmark.references``.
        describer: Registered name of the describer.
        options: Options of the describer.
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
    """Return a cell; if it is finished already, read it from its file.

    Args:
        split: The split.
        method: The method.
        trial: Number of the trial.
        train: Neurons to learn from.
        test: Neurons to describe.
        metrics: The metrics.
        folder: Folder of the cells.
        device: Device on which the method runs.
        resamples: Bootstrap resamples over neurons.
        data: Name of the annotated networks.
        protocol: Whether one reference is held out; see ``benchmark.references``.

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
        # The content of files and folders may have changed. Without any, the key is left out, so
        # that cells of earlier versions are found.
        identity["contents"] = contents
    if protocol != HELD_OUT:  # left out by default, so that cells of earlier versions are found
        identity["protocol"] = protocol
    settings: dict[str, Any] = {
        "data": data,
        "protocol": protocol,
        "describer": method.describer,
        "options": dict(method.options),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    file = folder / f"{split.family}-{split.name}-{method.name}-{trial}-{digest}.json"
    finished = _finished(file)
    if finished is not None:
        return finished.model_copy(update=settings)
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
        family=split.family,
        split=split.name,
        train=split.train,
        test=split.test,
        method=method.name,
        trial=trial,
        neurons=len(task.positions),
        scores=scored.result.splits["test"].scores,
        seconds=seconds,
        **settings,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as path:
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


def _finished(file: Path) -> Cell | None:
    tidy_up(file)
    if not is_there(file):
        return None
    try:
        return read_model(file, Cell, whole="cell")
    except InputError as error:  # damaged, or of another version
        notify(f"{error}; it is run again")
        return None
