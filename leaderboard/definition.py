"""The definition of a board: its splits, its metrics, and which of them ranks.

A board is a folder with ``board.yaml``. Two are part of the project and found by name: ``demo``,
whose data are embedded, and ``milannotations``, the human annotations of the seven published
networks.
``register_board`` gives a folder of your own a name; ``milannotations.registry`` says in which
modules it is found.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from benchmark.metrics.registry import MetricSettings, check_names, make_metrics
from benchmark.references import HELD_OUT, Protocol
from benchmark.splits.definitions import FAMILIES, published
from benchmark.splits.selecting import select
from leaderboard.config import DEFAULT_BOARD as DEFAULT
from leaderboard.strict_yaml import MAX_BYTES, YamlError, read_mapping
from milannotations.catalog.releases import is_known
from milannotations.errors import InputError, did_you_mean, wrong_fields
from milannotations.fingerprints import fingerprint
from milannotations.json_files import StrictModel
from milannotations.loading import load_split
from milannotations.reading import read_bytes
from milannotations.registry import Registry
from milannotations.texts import fault_of, is_blank

BOARDS = Path(__file__).parent / "boards"
FILE = "board.yaml"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SPLIT_NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
CHANGED = 1e-4  # tolerance of a recomputed value: encoders round differently on other machines


class _Definition(StrictModel):
    model_config = ConfigDict(frozen=True)

    @field_validator("title", "note", check_fields=False)
    @classmethod
    def _seen(cls, value: str) -> str:
        fault = fault_of(value, lines=True)
        if fault or (value and is_blank(value)):
            raise ValueError(fault or "has no character that a reader sees")
        return value


class SplitDefinition(_Definition):
    """One split of a board.

    Attributes:
        name: Its name in submissions.
        source: Its neurons: a config, ``config/split``, a published split such as
            ``within-network/alexnet-imagenet`` (its test side), or a CSV, Parquet file or data set
            folder beside ``board.yaml``.
        fingerprint: Required fingerprint of the neurons; empty if the data have not been available.
        note: What a reader must know about it.
    """

    name: str = Field(pattern=SPLIT_NAME)
    source: str = Field(min_length=1, max_length=300)
    fingerprint: str = Field(default="", pattern=r"^([0-9a-f]{16})?$")
    note: str = Field(default="", max_length=1000)


class BoardDefinition(_Definition):
    """A board.

    Attributes:
        name: Its name.
        version: Incremented whenever a split, a metric or a setting changes.
        title: Heading of its pages.
        frozen: The day from whose beginning (UTC) it takes no more submissions; None if no day is
            set.
        main_metric: Metric that ranks.
        main_split: Split that ranks.
        metrics: Names of its metrics.
        sentence_encoder: Encoder of identification and similarity.
        bertscore_encoder: Encoder of BERTScore.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
        references: Whether people wrote the references, or a program that knows the truth.
        protocol: Which references a description is compared with: ``held-out`` or ``original``;
            see ``benchmark.references``.
        splits: Its splits.
        folder: The folder of ``board.yaml``.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: int = Field(ge=1, lt=10**6)
    title: str = Field(min_length=1, max_length=200)
    frozen: datetime.date | None = None
    main_metric: str = "identification"
    main_split: str
    metrics: tuple[str, ...] = Field(min_length=1)
    sentence_encoder: str
    bertscore_encoder: str
    resamples: int = Field(default=1000, ge=1000, le=100_000)
    seed: int = Field(default=0, ge=0)
    references: Literal["people", "program"] = "program"
    protocol: Protocol = HELD_OUT
    splits: tuple[SplitDefinition, ...] = Field(min_length=1)
    folder: Path

    @field_validator("frozen", mode="before")
    @classmethod
    def _day(cls, value: Any) -> Any:
        # pydantic would read a number as seconds since 1970, so 0 as a day in the past.
        if value is None or (
            isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
        ):
            return value
        if isinstance(value, str) and _DAY.fullmatch(value):
            return datetime.date.fromisoformat(value)
        raise ValueError(
            f"{str(value)[:40]!r} is not a day; write one as 2027-01-31, from whose beginning "
            "(UTC) the board takes no more submissions"
        )

    @field_validator("metrics")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_names(value))

    @model_validator(mode="after")
    def _consistent(self) -> BoardDefinition:
        names = [split.name for split in self.splits]
        if len(set(names)) < len(names):
            raise ValueError("two splits have the same name")
        if self.main_split not in names:
            raise ValueError(f"main_split {self.main_split!r} is none of {names}")
        check_names(self.metrics, self.protocol)
        if self.main_metric not in self.metrics:
            raise ValueError(f"main_metric {self.main_metric!r} is none of {list(self.metrics)}")
        return self

    @property
    def label(self) -> str:
        """Name and version, as results record them."""
        return f"{self.name}@{self.version}"

    def is_frozen(self, now: datetime.datetime | None = None) -> bool:
        """Return whether it takes no more submissions.

        Args:
            now: An aware time; default the present.
        """
        if self.frozen is None:
            return False
        today = (
            (now or datetime.datetime.now(datetime.timezone.utc))
            .astimezone(datetime.timezone.utc)
            .date()
        )
        return today >= self.frozen

    @property
    def results(self) -> Path:
        """The folder of its rows."""
        return self.folder / "results"

    @property
    def submissions(self) -> Path:
        """The folder of the submissions from which its rows were computed."""
        return self.folder / "submissions"

    @property
    def notes(self) -> dict[str, str]:
        """The notes of the splits that have one."""
        return {split.name: split.note for split in self.splits if split.note}

    def split(self, name: str) -> SplitDefinition:
        """Return a split by name.

        Raises:
            InputError: If the board has no such split.
        """
        for split in self.splits:
            if split.name == name:
                return split
        names = [split.name for split in self.splits]
        raise InputError(
            f"board {self.name} has no split {name!r}{did_you_mean(name, names)} (splits: "
            f"{', '.join(names)})"
        )

    def chosen(self, names: Sequence[str] | None = None) -> list[SplitDefinition]:
        """Return splits in the board's order; default all.

        Raises:
            InputError: If the board has no split of a name.
        """
        wanted = {self.split(name).name for name in names} if names else None
        return [split for split in self.splits if wanted is None or split.name in wanted]

    def ranking_split(self, present: Collection[str]) -> str | None:
        """Return the split that ranks, or None where no result has it yet."""
        return self.main_split if self.main_split in present else None

    def neurons(self, name: str) -> Dataset:
        """Load the neurons of a split.

        Raises:
            InputError: If its data are not available, or are not those of this board.
        """
        return _neurons(self.split(name), self.folder)

    def make_metrics(self, device: Any = "cpu") -> list[Any]:
        """Make its metrics, the main one first.

        Raises:
            InputError: If an encoder is not available.
        """
        order = [self.main_metric, *(n for n in self.metrics if n != self.main_metric)]
        return make_metrics(
            order, MetricSettings(self.bertscore_encoder, self.sentence_encoder, device)
        )


def own_boards() -> list[str]:
    """Return the names of the boards that are part of the project.

    A board that a stranger's file names must be one of these: any other name could be a folder.
    """
    return sorted(path.parent.name for path in BOARDS.glob(f"*/{FILE}"))


# The folders of boards that others have registered, by name.
ADDED_BOARDS: Registry[str | Path] = Registry("board", {}, group="milannotations.boards")


def register_board(name: str, folder: str | Path) -> None:
    """Make the board in a folder available under a name.

    Raises:
        InputError: If the name is taken by another board.
    """
    if name in own_boards():
        raise InputError(f"a board cannot be named {name!r}; the name is taken")
    ADDED_BOARDS.register(name)(folder)


def read_board(name: str | Path = DEFAULT) -> BoardDefinition:
    """Read a board by name, or from a folder with ``board.yaml`` or that file itself.

    >>> read_board("demo").main_metric
    'identification'

    Raises:
        InputError: If there is no such board, or it is not valid; the message names everything
            that is wrong.
    """
    file = _board_file(name)
    if not file.is_file():
        boards = [*own_boards(), *ADDED_BOARDS.names()]
        raise InputError(
            f"{str(name)!r} is no board{did_you_mean(str(name), boards)}: name one of "
            f"{', '.join(boards)}, or a folder with {FILE}"
        )
    try:
        plain, lines = read_mapping(read_bytes(file, MAX_BYTES))
        if "folder" in plain:
            raise YamlError(lines["folder"], "'folder' is not a field of a board; remove it")
        # As JSON: pydantic then reads lists and dates as YAML writes them, but no text as a number.
        written = json.dumps({**plain, "folder": str(file.parent)})
        return BoardDefinition.model_validate_json(written, strict=True)
    except YamlError as error:
        raise InputError(f"{file}, line {error.line}: {error}") from error
    except ValidationError as error:
        raise InputError(f"{file}: {wrong_fields(error, 'board')}") from error
    except TypeError as error:
        raise InputError(f"{file}: {error}") from error


def _board_file(name: str | Path) -> Path:
    """Return where ``board.yaml`` of a board should be."""
    folder = BOARDS / str(name)
    if "/" in str(name) or not folder.is_dir():
        folder = Path(name).expanduser()
        if not folder.exists() and str(name) in ADDED_BOARDS:
            folder = Path(ADDED_BOARDS.get(str(name)))
    return folder if folder.name == FILE else folder / FILE


def _neurons(split: SplitDefinition, folder: Path) -> Dataset:
    family, _, rest = split.source.partition("/")
    beside = folder / split.source
    if family in FAMILIES:
        matches = [candidate for candidate in published(family) if candidate.name == rest]
        if not matches:
            raise InputError(f"{family} has no published split {rest!r}")
        neurons = select(matches[0].describe, load_split)
    elif beside.exists():
        neurons = load_split(beside)
    else:
        neurons = load_split(*((split.source,) if is_known(split.source) else (family, rest)))
    if split.fingerprint:
        own = fingerprint(neurons)
        if own != split.fingerprint:
            raise InputError(
                f"split {split.name}: {split.source} has the fingerprint {own}, but the board was "
                f"made for {split.fingerprint}; are these the neurons of this version of the board?"
            )
    return neurons
