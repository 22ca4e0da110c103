"""Our own rows: every baseline and control of this project as a submission like any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmark.harness import describe, make_task
from benchmark.references import HELD_OUT
from leaderboard.definition import BoardDefinition
from leaderboard.submission.metadata import Submission
from leaderboard.submission.package import METADATA
from leaderboard.submission.template import write_submission
from milannotations.describer import accepts, create
from milannotations.errors import InputError, did_you_mean
from milannotations.loading import load_split

Kind = Literal["method", "control", "human"]
Notify = Callable[[str], None]
TRAIN = "demo/train"
# Labelled scenes for the dissection baselines: those on which the demo's test split was built.
SCENES = "worlds:3:256"
# A small MILAN, trained in half a minute on the features that retrieval uses too.
_MILAN = {
    "encoder": "efficientnet_lite0", "hidden": 128, "epochs": 40, "learning_rate": 0.005,
    "batch_size": 32, "language_model_batch_size": 32, "stop_on": "loss", "resample": True,
    "validation": "demo", "validation_split": "validation",
}  # fmt: skip
_SCENED = ("compexp", "netdissect")


@dataclass(frozen=True)
class Contestant:
    """One of our rows.

    Attributes:
        describer: Name of the describer.
        title: What pages call it.
        kind: Method or anchor.
        seen: What it has seen of annotations; ``train`` stands for the data it learns from.
        options: The describer's options.
        seeded: Whether it takes a seed.
        demo: Whether the demo, which has a minute, runs it.
        paper: Where it was published.
        pretrained_on: Other data that went into it.
        references: Who must have written the references for this row to make sense; empty for
            anybody.
    """

    describer: str
    title: str
    kind: Kind
    seen: str
    options: dict[str, Any] = field(default_factory=dict)
    seeded: bool = False
    demo: bool = True
    paper: str = ""
    pretrained_on: str = ""
    references: Literal["", "people", "program"] = ""


_HERNANDEZ = "https://arxiv.org/abs/2201.11114"
_BAU = "https://arxiv.org/abs/1704.05796"
_MU = "https://arxiv.org/abs/2006.14032"


def _milan(title: str, variant: str = "", demo: bool = False) -> Contestant:
    options = {**_MILAN, **({"variant": variant} if variant else {})}
    return Contestant(
        "milan", title, "method", "train", options, True, demo, _HERNANDEZ, "ImageNet (encoder)"
    )


CONTESTANTS: dict[str, Contestant] = {
    "people": Contestant(
        "oracle", "People: one annotator held out", "human", "the held-out annotation itself",
        demo=False, references="people",
    ),
    "oracle": Contestant(
        "oracle", "Oracle: one reference held out", "control", "the held-out reference itself",
        references="program",
    ),
    "retrieval": Contestant(
        "retrieval", "Nearest neighbour, masked EfficientNet-Lite0", "method", "train",
        pretrained_on="ImageNet (encoder)",
    ),
    "milan": _milan("MILAN, trained on the demo's neurons", demo=True),
    "milan-beam": _milan("MILAN without mutual information, beam search", "beam"),
    "milan-greedy": _milan("MILAN without mutual information, greedy", "greedy"),
    "milan-sample": _milan("MILAN without mutual information, sampled", "sample"),
    "milan-mi-beam": _milan("MILAN, token-wise mutual information, beam search", "mi-beam"),
    "clip-dissect": Contestant(
        "clip-dissect", "CLIP-Dissect, training descriptions as texts", "method", "train",
        {"clip": "openai/clip-vit-base-patch32"}, demo=False,
        paper="https://arxiv.org/abs/2204.10965", pretrained_on="WebImageText (CLIP)",
    ),
    "compexp": Contestant(
        "compexp", "Compositional Explanations", "method", "none", paper=_MU
    ),
    "netdissect": Contestant("netdissect", "Network Dissection", "method", "none", paper=_BAU),
    "netdissect-original": Contestant(
        "netdissect", "Network Dissection, as first published", "method", "none",
        {"variant": "original"}, demo=False, paper=_BAU,
    ),
    "netdissect-segmenter": Contestant(
        "netdissect", "Network Dissection, the variant of the MILAN paper", "method", "none",
        {"variant": "segmenter"}, demo=False, paper=_BAU,
    ),
    "random-train": Contestant(
        "random-train", "Random training description", "control", "train", seeded=True
    ),
    "shuffled-oracle": Contestant(
        "shuffled-oracle", "Oracle, dealt out to the wrong neurons", "control", "test, shuffled",
        seeded=True,
    ),
    "constant-frequent": Contestant(
        "constant-frequent", "Most frequent training description", "control", "train"
    ),
    "constant": Contestant(
        "constant", 'Constant "objects"', "control", "none", {"text": "objects"}
    ),
}  # fmt: skip
DEMO = [name for name, one in CONTESTANTS.items() if one.demo]


def write_rows(
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
        names: Which of ``CONTESTANTS``; default all.
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
        if name not in CONTESTANTS:
            raise InputError(
                f"no row is named {name!r}{did_you_mean(name, CONTESTANTS)} (rows: "
                f"{', '.join(CONTESTANTS)})"
            )
    tasks = [
        make_task(split.name, board.neurons(split.name), board.protocol) for split in board.splits
    ]
    config, _, split = train.partition("/")
    learnt = None
    folders, skipped = [], {}
    for name, one in CONTESTANTS.items():
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
                    task.name: list(zip(task.keys, describe(describer, task).shown, strict=True))
                    for task in described
                }
            seconds = time.perf_counter() - start
        except InputError as error:
            skipped[name] = str(error)
            continue
        submission = Submission(
            board=board.label,
            splits=[task.name for task in described],
            name=name,
            title=one.title,
            kind=one.kind,
            describer=one.describer if describer.sees_references else "",  # type: ignore[arg-type]
            authors="milannotations",
            paper=one.paper,
            training_data=[train] if one.seen == "train" else [],
            pretrained_on=one.pretrained_on,
            annotations_seen=train if one.seen == "train" else one.seen,
            licence="MIT",
            seed=seed if one.seeded else None,
            wall_time_s=round(seconds, 1) if texts else 0.0,
        )
        write_submission(submission, texts, target)
        folders.append(target)
    return folders, skipped
