"""Writing submissions: empty ones to fill in, and complete ones."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from leaderboard.definition import BoardDefinition
from leaderboard.submission.descriptions import COLUMNS, SPLIT
from leaderboard.submission.metadata import Submission
from leaderboard.submission.package import METADATA, TABLES
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of
from milannotations.storage import atomic_folder

_TEMPLATE = """\
# Every field is explained in docs/submitting.md. Quote texts that contain special characters.
board: {board}
splits: {splits}
name: {name}              # lower-case letters, digits, - and _; names your files
title: {title}            # what pages call your method
authors: ""               # who made it
url: ""                   # where its code is: http(s)://…
paper: ""                 # its paper: an address, or a citation
training_data: []         # configs and splits of this project that it was trained on, such as
                          # demo/train; a column that tests neurons of these is refused
pretrained_on: ""         # other data that went into it, such as ImageNet, LAION-2B
annotations_seen: none    # human descriptions of neurons that it has seen, in any way
images: ""                # images it looked at: the exemplars, or which others
labels: ""                # labels of images that it was given; none for no labels
vocabulary: ""            # words or texts that its descriptions were chosen from
parameters: null          # number of parameters
licence: ""               # such as MIT
seed: null                # its random seed
hardware: ""              # what it ran on
wall_time_s: 0            # seconds it took to describe the neurons
"""


def write_template(
    name: str, board: BoardDefinition, out: Path, splits: Sequence[str] | None = None
) -> int:
    """Write the folder of an empty submission.

    Args:
        name: The method's short name.
        board: The board it is for.
        out: The folder to write; it must be empty or not exist.
        splits: Names of splits; default all of the board's.

    Returns:
        The number of neurons to describe.

    Raises:
        InputError: If the name cannot be used, the folder is not empty, the board is frozen, or a
            split's data are not available.
    """
    if board.is_frozen():
        raise InputError(
            f"{board.label} is frozen since {board.frozen}: it takes no more submissions"
        )
    try:
        Submission(
            board=board.label,
            splits=["x"],
            name=name,
            title=name,
            training_data=[],
            annotations_seen="none",
        )
    except ValueError as error:
        raise InputError(
            f"a method cannot be named {name!r}: use up to 64 lower-case letters, digits, - and _, "
            "a letter or digit first, and no name that an operating system keeps for itself"
        ) from error
    chosen = board.chosen(splits)
    rows: list[tuple[str, NeuronKey]] = []
    for split in chosen:
        rows += [(split.name, key) for key in keys_of(board.neurons(split.name))]
    with atomic_folder(out) as folder:
        (folder / METADATA).write_text(
            _TEMPLATE.format(
                board=board.label,
                splits=json.dumps([split.name for split in chosen]),
                name=json.dumps(name),
                title=json.dumps(name),
            ),
            encoding="utf-8",
        )
        _write_table(folder / TABLES[0], ((split, *key, "") for split, key in rows))
    return len(rows)


def write_submission(
    submission: Submission, texts: dict[str, list[tuple[NeuronKey, str]]], out: Path
) -> None:
    """Write a complete submission, replacing one in ``out``.

    Args:
        submission: Its metadata.
        texts: Neurons and descriptions of each split; empty for a describer that scoring runs.
        out: The folder to write.
    """
    with atomic_folder(out, overwrite=True) as folder:
        lines = [
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in submission.model_dump(exclude_defaults=True).items()
        ]
        (folder / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")
        if texts:
            rows = ((split, *key, text) for split, own in texts.items() for key, text in own)
            _write_table(folder / TABLES[0], rows)


def _write_table(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((SPLIT, *COLUMNS))
        table.writerows(rows)
