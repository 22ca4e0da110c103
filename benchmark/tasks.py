"""Loading annotated neurons from a file, a config or a folder as a task to score on."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.harness import Task, make_task
from milannotations.annotations import read_annotations, to_dataset
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.tables import is_table


def load_task(source: str, split: str | None = None) -> Task:
    """Read annotated neurons.

    Args:
        source: A CSV, TSV or Parquet table with layer, unit and summary; or whatever
            ``milannotations.load`` takes: a config, a group, a folder.
        split: Name of the split, if there are several; the task gets this name.

    Raises:
        InputError: If the source cannot be read, or fewer than two neurons have two annotations.
    """
    path = Path(source)
    if is_table(path):
        task = make_task(path.stem, to_dataset(read_annotations(path)))
    else:
        name = split or re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem)
        task = make_task(name, load_split(source, split))
    if len(task.positions) < 2:
        raise InputError(f"{source}: fewer than two neurons have the two annotations needed")
    return task
