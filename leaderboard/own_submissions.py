"""Our own rows: every baseline and control of this project as a submission like any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

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
from milannotations.worlds import DEMO_SCENES

Notify = Callable[[str], None]
_SCENED = ("compexp", "netdissect")


def _given(
    method: OwnMethod, describer: object, board: BoardDefinition, concepts: str
) -> dict[str, str]:
    """Return which images, labels and vocabulary a row was given, in words."""
    if not isinstance(describer, Dissector):
        images, vocabulary = method.images, method.vocabulary
        return {"images": images, "labels": "none", "vocabulary": vocabulary}
    given = describer.given()
    # Labels of a split's own scenes say what its neurons respond to, so that must be told.
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
    """Describe a board's neurons with our methods, and write each as a submission.

    Args:
        board: The board.
        out: Folder of submissions; those already there are kept.
        names: Which of ``OWN_METHODS``; default all.
        train: What learning methods learn from: whatever ``load`` takes, or ``config/split``.
        concepts: Labelled images for the dissection baselines.
        seed: Of those that draw.
        device: Where they run.
        notify: Called with a line before each.
        overwrite: Describe anew what is there.

    Returns:
        The folders of the submissions, and why a method could not be run, by name.

    Raises:
        InputError: If a name is not known or the data are not at hand.
    """
    for name in names or ():
        if name not in OWN_METHODS:
            raise InputError(
                f"no row is named {name!r}{did_you_mean(name, OWN_METHODS)} (rows: "
                f"{', '.join(OWN_METHODS)})"
            )
    tasks = [
        make_task(split.name, board.neurons(split.name), board.protocol) for split in board.splits
    ]
    config, _, split = train.partition("/")
    learnt = None
    folders, skipped = [], {}
    for name, one in OWN_METHODS.items():
        if names is not None and name not in names:
            continue
        if one.references not in ("", board.references):
            if names is not None:
                skipped[name] = f"it is for boards whose references are by {one.references}"
            continue
        target = out / name
        if (target / METADATA).is_file() and not overwrite:
            folders.append(target)
            continue
        notify(one.title)
        options = dict(one.options)
        if one.describer in _SCENED:
            options["concepts"] = concepts
        if accepts(one.describer, "device"):
            options["device"] = device
        if one.seeded:
            options["seed"] = seed
        try:
            describer = create(one.describer, **options)
            if describer.sees_references and board.protocol != HELD_OUT:
                skipped[name] = f"the protocol {board.protocol} holds no reference out"
                continue
            # A control made of references is not written down: the scorer holds them out itself.
            described = [task for task in tasks if task.folds or not describer.sees_references]
            start = time.perf_counter()
            texts = {}
            if not describer.sees_references:
                if learnt is None:
                    learnt = load_split(config, split or None)
                describer.fit(learnt)
                texts = {
                    task.name: list(
                        zip(task.keys, describe(describer, task).descriptions, strict=True)
                    )
                    for task in described
                }
            seconds = time.perf_counter() - start
        except InputError as error:
            skipped[name] = str(error)
            continue
        given = _given(one, describer, board, concepts)
        fields = {
            "board": board.label,
            "splits": [task.name for task in described],
            "name": name,
            "title": one.title,
            "kind": one.kind,
            "describer": one.describer if describer.sees_references else "",
            "authors": "milannotations",
            "paper": one.paper,
            "training_data": [train] if one.seen == "train" else [],
            "pretrained_on": one.pretrained_on,
            "annotations_seen": train if one.seen == "train" else one.seen,
            "images": given["images"],
            "labels": given["labels"],
            "vocabulary": given["vocabulary"],
            "licence": "MIT",
            "seed": seed if one.seeded else None,
            "wall_time_s": round(seconds, 1) if texts else 0.0,
        }
        submission = checked(Submission, fields, f"the row {name}")
        write_submission(submission, texts, target)
        folders.append(target)
    return folders, skipped
