"""Configs of ``milannotations leaderboard`` and ``milannotations demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BeforeValidator, Field

from benchmark.config import ProtocolConfig
from leaderboard.own_methods import SCENES, TRAIN
from milannotations.command_options import Config
from milannotations.options import assignments
from milannotations.shared_options import DeviceConfig

DEFAULT_BOARD = "demo"
GALLERY_SIZE = 48  # neurons on the first page
PICTURES = 300  # neurons whose exemplars are drawn
_BOARD = "demo, milannotations, or a folder with board.yaml"
SubmissionArgument = Annotated[
    Path,
    typer.Argument(metavar="SUBMISSION"),
    Field(description="Folder or zip of a submission."),
]


def _assigned(option: str) -> BeforeValidator:
    return BeforeValidator(
        lambda given: given if isinstance(given, dict) else assignments(option, given)
    )


class BoardConfig(Config):
    """The board that a submission is for."""

    board: Annotated[
        str | None, Field(description=f"Board: {_BOARD}; default the submission's.")
    ] = None


class InitConfig(Config):
    """An empty submission to write.

    Attributes:
        method: Short name of your method.
        split: Split to describe; repeatable; default all.
        out: Folder to write; default submissions/METHOD.
    """

    method: Annotated[str, typer.Argument()]
    board: Annotated[str, Field(description=f"{_BOARD}.")] = DEFAULT_BOARD
    split: tuple[str, ...] = ()
    out: Path | None = None


class ValidateConfig(BoardConfig):
    """A submission to check.

    Attributes:
        all_problems: List every problem, not a few of each kind.
    """

    submission: SubmissionArgument
    all_problems: Annotated[bool, typer.Option("--all")] = False


class ScoreSubmissionsConfig(BoardConfig, DeviceConfig):
    """Submissions to score.

    Attributes:
        submissions: Folders or zips of submissions.
        out: Folder for results.
        sanity: Also check, once per split, which metrics can be fooled.
    """

    submissions: Annotated[tuple[Path, ...], typer.Argument(metavar="SUBMISSION...")]
    out: Path = Path("results")
    sanity: bool = True


class VerifyConfig(BoardConfig, DeviceConfig):
    """A row to verify.

    Attributes:
        result: JSON of a row, with its table beside it.
        submission: Its submission, a folder or zip; default the one in the board's folder.
    """

    result: Annotated[Path, typer.Argument()]
    submission: Annotated[Path | None, typer.Argument()] = None


class CompareConfig(Config):
    """Two rows to compare.

    Attributes:
        first: JSON of a row.
        second: JSON of another.
        split: Split; default the first that both were scored on.
        metric: Metric.
        neurons: How many neurons to list each way.
        out: CSV file for every neuron's difference.
    """

    first: Annotated[Path, typer.Argument()]
    second: Annotated[Path, typer.Argument()]
    split: str | None = None
    metric: str = "identification"
    neurons: Annotated[int, Field(ge=0)] = 5
    out: Path | None = None


class ReviewConfig(DeviceConfig):
    """A change to review.

    Attributes:
        checkout: Git checkout of a change.
        base: The commit that it is based on.
        out: Folder for results and summary.md.
    """

    checkout: Annotated[Path, typer.Argument()]
    base: str = "origin/main"
    out: Path = Path("review")


class RowsConfig(DeviceConfig):
    """This project's own rows to make.

    Attributes:
        out: Folder for submissions and results; default the board's.
        only: Row to make; repeatable.
        train: Training data of methods that learn: config or config/split.
        concepts: Labelled images for the dissection baselines.
        seed: Seed of the methods that take one.
        overwrite: Replace existing submissions.
    """

    board: Annotated[str, Field(description=f"{_BOARD}.")] = DEFAULT_BOARD
    out: Path | None = None
    only: tuple[str, ...] = ()
    train: str = TRAIN
    concepts: str = SCENES
    seed: int = 0
    overwrite: bool = False


class RenderConfig(Config):
    """A site to write.

    Attributes:
        results: Folder of <method>.json and <method>.per_neuron.parquet.
        out: Folder to write.
        neurons: Neurons whose exemplars and references are shown for a split: a dataset folder or
            a Parquet file; once per split.
        notes: What a reader must know about a split, such as who wrote its references.
        title: Heading of the pages.
        gallery_size: Neurons on the first page, shared among splits.
        pictures: Neurons whose exemplars are drawn, shared among splits.
        main_metric: Metric that ranks; default the board's, or identification.
        main_split: Split that ranks; default the first with that metric.
        seed: Seed of the choice of neurons.
        leave_out: Leave out results that cannot be read or disagree with their tables, and name
            them on the first page; otherwise such a result stops the command.
    """

    results: Path | None = None
    out: Path = Path("site")
    board: Annotated[
        str | None,
        Field(
            description=f"{_BOARD}; provides the neurons, notes, title and main column, and its "
            "own rows unless --results is given."
        ),
    ] = None
    neurons: Annotated[
        dict[str, str], _assigned("--neurons"), typer.Option(metavar="SPLIT=PATH")
    ] = Field(default_factory=dict)
    notes: Annotated[
        dict[str, str], _assigned("--note"), typer.Option("--note", metavar="SPLIT=TEXT")
    ] = Field(default_factory=dict)
    title: str | None = None
    gallery_size: Annotated[int, Field(ge=0)] = GALLERY_SIZE
    pictures: Annotated[int, Field(ge=0)] = PICTURES
    main_metric: str | None = None
    main_split: str | None = None
    seed: int = 0
    leave_out: Annotated[bool, typer.Option("--leave-out")] = False


class PushBoardConfig(Config):
    """What to upload of a board, and where.

    Attributes:
        results: Folder of results; default the board's.
        repo: Dataset repository for the results.
        site: Folder of the rendered site.
        space: Static Space for the site.
        models: Model repository in which a method's scores are proposed; repeatable.
        private: Whether new repositories are private.
        dry_run: Show what would be written; upload nothing.
    """

    results: Path | None = None
    board: Annotated[str | None, Field(description=f"{_BOARD}.")] = None
    repo: Annotated[str, typer.Option(metavar="USER/NAME")] = ""
    site: Path | None = None
    space: Annotated[str, typer.Option(metavar="USER/NAME")] = ""
    models: Annotated[
        dict[str, str], _assigned("--model"), typer.Option("--model", metavar="METHOD=USER/NAME")
    ] = Field(default_factory=dict)
    private: Annotated[bool, typer.Option("--private/--public")] = True
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False


class DemoConfig(ProtocolConfig, DeviceConfig):
    """What the demo writes.

    Attributes:
        out: Folder for submissions, results and the site.
        encoder: Encoder of identification and BERTScore.
        seed: Seed of controls and bootstrap.
    """

    out: Path = Path("demo-out")
    encoder: str | None = None
    seed: int = 0
