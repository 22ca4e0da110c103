"""``submission.yaml``: who sends in, what for, and what the method had seen."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchmark.references import HELD_OUT
from benchmark.result import METHOD_NAME, Method
from leaderboard.definition import BoardDefinition
from leaderboard.strict_yaml import YamlError, read_mapping
from leaderboard.submission.package import METADATA
from leaderboard.submission.problems import Problems
from leaderboard.submission.texts import fault_of, is_blank
from milannotations.errors import did_you_mean

# Names that mean something in addresses or on some file systems.
_RESERVED = {
    "index",
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}


class Submission(BaseModel):
    """The content of ``submission.yaml``; see docs/submitting.md.

    Attributes:
        board: Name of the board, with its version: ``demo@1``.
        splits: Which of its splits are described.
        name: The method's short name.
        title: What pages call it.
        kind: ``control`` and ``human`` are anchors, which have no rank.
        describer: For anchors that are made of references and so cannot be written down before
            the references are held out (``oracle``, ``shuffled-oracle``): the describer to run.
        authors: Who made it.
        url: Where its code is.
        paper: Its paper, as a text or an address.
        training_data: Configs and splits of this project it learnt from.
        pretrained_on: Other data that went into it.
        annotations_seen: Which descriptions of neurons by people it has seen, in any way.
        images: Which images it looked at to describe a neuron: the exemplars, or others.
        labels: Labels of those images that it was given; ``none`` for none.
        vocabulary: Which words or texts it chose its descriptions from.
        parameters: Number of its parameters.
        licence: Licence of the method.
        seed: Its random seed.
        hardware: What it ran on.
        wall_time_s: How long it took to describe, in seconds.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    board: str = Field(max_length=100)
    splits: list[str] = Field(min_length=1, max_length=100)
    name: str = Field(pattern=METHOD_NAME)
    title: str = Field(min_length=1, max_length=200)
    kind: Literal["method", "control", "human"] = "method"
    describer: Literal["", "oracle", "shuffled-oracle"] = ""
    authors: str = Field(default="", max_length=500)
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    paper: str = Field(default="", max_length=500)
    training_data: list[str] = Field(max_length=100)
    pretrained_on: str = Field(default="", max_length=500)
    annotations_seen: str = Field(min_length=1, max_length=500)
    images: str = Field(default="", max_length=500)
    labels: str = Field(default="", max_length=500)
    vocabulary: str = Field(default="", max_length=500)
    parameters: int | None = Field(default=None, ge=0, lt=2**63)
    licence: str = Field(default="", max_length=100)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    hardware: str = Field(default="", max_length=200)
    wall_time_s: float = Field(default=0.0, ge=0, lt=1e9, allow_inf_nan=False)

    @field_validator("name")
    @classmethod
    def _usable(cls, value: str) -> str:
        if value in _RESERVED:
            raise ValueError(f"{value!r} cannot name files everywhere; choose another")
        return value

    @field_validator("training_data", "splits")
    @classmethod
    def _short(cls, value: list[str]) -> list[str]:
        if any(len(one) > 200 for one in value):
            raise ValueError("a name of at most 200 characters is expected")
        return value

    def method(self) -> Method:
        """Return what results record of it."""
        seen = self.annotations_seen
        if self.pretrained_on:
            seen = f"{seen}; pretrained on {self.pretrained_on}"[:500]
        return Method(
            name=self.name,
            title=self.title,
            kind=self.kind,
            authors=self.authors,
            url=self.url,
            paper=self.paper,
            training_data=self.training_data,
            annotations_seen=seen,
            images=self.images,
            labels=self.labels,
            vocabulary=self.vocabulary,
            parameters=self.parameters,
            licence=self.licence,
            seed=self.seed,
        )


def read_submission(data: bytes, problems: Problems) -> Submission | None:
    """Read and check ``submission.yaml``.

    Args:
        data: The file.
        problems: Gets everything that is wrong, with its line.

    Returns:
        The submission, or None if anything is wrong.
    """
    try:
        plain, lines = read_mapping(data)
    except YamlError as error:
        problems.add(METADATA, error.line, "YAML", str(error))
        return None
    before = problems.total
    for key, value in plain.items():
        for text in _texts(value):
            fault = fault_of(text)
            if not fault and text and is_blank(text):
                fault = "has no character that a reader sees"
            if fault:
                problems.add(METADATA, lines.get(key), "texts", f"{key} {fault}")
    try:
        found = Submission(**plain)
    except ValidationError as error:
        for one in error.errors():
            place = [str(part) for part in one["loc"]]
            key = place[0] if place else ""
            message = f"{'.'.join(place)}: {one['msg'].removeprefix('Value error, ')}"
            if one["type"] == "extra_forbidden":
                hint = did_you_mean(key, Submission.model_fields)
                message = f"{key!r} is no field of a submission{hint}"
            elif one["type"] == "missing":
                message = f"the field {key!r} is missing"
            elif not isinstance(one["input"], (dict, list)):
                message += f" (found {str(one['input'])[:60]!r})"
            problems.add(METADATA, lines.get(key), "fields", message)
        return None
    if found.describer and found.kind == "method":
        problems.add(
            METADATA,
            lines.get("describer"),
            "fields",
            f"describer {found.describer!r} is made of references; it is for anchors (kind: "
            "control or human)",
        )
    return found if problems.total == before else None


def check_against(
    submission: Submission, board: BoardDefinition, data: bytes, problems: Problems
) -> None:
    """Check that a submission is for this version of this board and for splits that it has."""
    _, lines = read_mapping(data)
    if submission.board != board.label:
        problems.add(
            METADATA,
            lines.get("board"),
            "board",
            f"board {submission.board!r}, but this is {board.label}; descriptions are scored by "
            "the version that they were made for",
        )
    if submission.describer and board.protocol != HELD_OUT:
        problems.add(
            METADATA,
            lines.get("describer"),
            "fields",
            f"describer {submission.describer!r} says a reference held out, and this board's "
            f"protocol {board.protocol} holds none out",
        )
    known = [split.name for split in board.splits]
    for name in submission.splits:
        if name not in known:
            problems.add(
                METADATA,
                lines.get("splits"),
                "splits",
                f"{board.label} has no split {name!r}{did_you_mean(name, known)} (splits: "
                f"{', '.join(known)})",
            )
    if len(set(submission.splits)) < len(submission.splits):
        problems.add(METADATA, lines.get("splits"), "splits", "a split stands there twice")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return []
