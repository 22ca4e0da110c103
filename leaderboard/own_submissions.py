"""Making submissions of this project's own baselines and controls, like those of anyone else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Dataset

from baselines.concepts.dissector import Dissector
from benchmark.harness import describe, make_task
from benchmark.references import HELD_OUT
from leaderboard.definition import BoardDefinition
from leaderboard.own_methods import OWN_METHODS, SCENES, TRAIN, OwnMethod
from leaderboard.submission.metadata import Submission
from leaderboard.submission.package import METADATA
from leaderboard.submission.template import write_submission
from milannotations.builder import DEMO as DEMO_DATA
from milannotations.describer import accepts, create
from milannotations.errors import InputError, did_you_mean
from milannotations.loading import load_split
from milannotations.options import checked
from milannotations.record import NeuronKey
from milannotations.worlds import DEMO_SCENES

Notify = Callable[[str], None]
_NEEDS_CONCEPTS = ("compexp", "netdissect")


def _given(
    method: OwnMethod, describer: object, board: BoardDefinition, concepts: str
) -> dict[str, str]:
    """Return the images, labels and vocabulary that a method was given, in words."""
    if not isinstance(describer, Dissector):
        images, vocabulary = method.images, method.vocabulary
        return {"images": images, "labels": "none", "vocabulary": vocabulary}
    given = describer.given()
    # Labels of a split's own scenes reveal what its neurons respond to, which must be stated.
    splits = [
        split.name
        for split in board.splits
        for name, (seed, _) in DEMO_SCENES.items()
        if split.source == f"{DEMO_DATA}/{name}" and concepts.startswith(f"worlds:{seed}:")
    ]
    if splits:
        given["images"] += f"; they are the images of split {', '.join(splits)} itself"
    elif concepts.startswith("worlds:") and board.name == DEMO_DATA:
        given["images"] += "; they are in no split of this board"
    return given


def write_own_submissions(
    board: BoardDefinition,
    out: Path,
    names: Collection[str] | None = None,
    *,
    train: str = TRAIN,
    concepts: str = SCENES,
    seed: int = 0,
    device: str = "auto",
    notify: Notify = lambda _: None,
    overwrite: bool = False,
) -> tuple[list[Path], dict[str, str]]:
    """Describe a board's neurons with this project's methods, and write each as a submission.

    Args:
        board: The board.
        out: Folder of submissions; existing ones are kept.
        names: Names in ``OWN_METHODS``; default all.
        train: Training data of methods that learn: whatever ``load`` takes, or ``config/split``.
        concepts: Labelled images for the dissection baselines.
        seed: Seed of the methods that take one.
        device: Where they run.
        notify: Called with a line before each.
        overwrite: Replace existing submissions.

    Returns:
        The folders of the submissions, and the reason why a method was not run, by name.

    Raises:
        InputError: If a name is unknown or the data are not available.
    """
    for name in names or ():
        if name not in OWN_METHODS:
            raise InputError(
                f"no row is named {name!r}{did_you_mean(name, OWN_METHODS)} (rows: "
                f"{', '.join(OWN_METHODS)})"
            )
    run = _Run(board, train, concepts, seed, device)
    folders, skipped = [], {}
    for name, method in OWN_METHODS.items():
        if names is not None and name not in names:
            continue
        if method.references not in ("", board.references):
            if names is not None:
                skipped[name] = f"it is for boards whose references are by {method.references}"
            continue
        target = out / name
        if overwrite or not (target / METADATA).is_file():
            notify(method.title)
            try:
                submission, texts = run.submission(name, method)
            except InputError as error:
                skipped[name] = str(error)
                continue
            write_submission(submission, texts, target)
        folders.append(target)
    return folders, skipped


class _Run:
    """Runs methods on a board's neurons; data are loaded once for all methods."""

    def __init__(
        self, board: BoardDefinition, train: str, concepts: str, seed: int, device: str
    ) -> None:
        self._board = board
        self._train = train
        self._concepts = concepts
        self._seed = seed
        self._device = device
        self._tasks = [
            make_task(split.name, board.neurons(split.name), board.protocol)
            for split in board.splits
        ]

    @cached_property
    def _training_data(self) -> Dataset:
        config, _, split = self._train.partition("/")
        return load_split(config, split or None)

    def submission(
        self, name: str, method: OwnMethod
    ) -> tuple[Submission, dict[str, list[tuple[NeuronKey, str]]]]:
        """Describe the neurons with a method.

        Returns:
            The submission's metadata, and the neurons and descriptions of each split.

        Raises:
            InputError: If the method cannot be run on this board.
        """
        board = self._board
        describer = create(method.describer, **self._options(method))
        if describer.sees_references and board.protocol != HELD_OUT:
            raise InputError(f"the protocol {board.protocol} holds no reference out")
        described = [task for task in self._tasks if task.folds or not describer.sees_references]
        start = time.perf_counter()
        texts = {}
        # Controls made of references have no texts: scoring holds the references out and runs them.
        if not describer.sees_references:
            describer.fit(self._training_data)
            for task in described:
                descriptions = describe(describer, task).descriptions
                texts[task.name] = list(zip(task.keys, descriptions, strict=True))
        seconds = time.perf_counter() - start
        trained = method.seen == "train"
        fields = {
            "board": board.label,
            "splits": [task.name for task in described],
            "name": name,
            "title": method.title,
            "kind": method.kind,
            "describer": method.describer if describer.sees_references else "",
            "authors": "milannotations",
            "paper": method.paper,
            "training_data": [self._train] if trained else [],
            "pretrained_on": method.pretrained_on,
            "annotations_seen": self._train if trained else method.seen,
            **_given(method, describer, board, self._concepts),
            "licence": "MIT",
            "seed": self._seed if method.seeded else None,
            "wall_time_s": round(seconds, 1) if texts else 0.0,
        }
        return checked(Submission, fields, f"the row {name}"), texts

    def _options(self, method: OwnMethod) -> dict[str, Any]:
        options = dict(method.options)
        if method.describer in _NEEDS_CONCEPTS:
            options["concepts"] = self._concepts
        if accepts(method.describer, "device"):
            options["device"] = self._device
        if method.seeded:
            options["seed"] = self._seed
        return options
