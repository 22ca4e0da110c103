"""``submission.yaml``: who submits what to which board, and what the method has seen."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from benchmark.references import HELD_OUT
from benchmark.result import METHOD_NAME, Method
from leaderboard.definition import BoardDefinition
from leaderboard.strict_yaml import YamlError, read_mapping
from leaderboard.submission.package import METADATA
from leaderboard.submission.problems import Problems
from leaderboard.submission.texts import fault_of, is_blank
from milannotations.errors import did_you_mean

# Names with a meaning in addresses or on some file systems.
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
        kind: ``method``, or an anchor without a rank: ``control`` or ``human``.
        describer: For anchors that are made of references, which cannot be submitted as texts since
            references are held out when they are scored: the describer to run (``oracle``,
            ``shuffled-oracle``).
        authors: Its authors.
        url: Address of its code.
        paper: Its paper, as a citation or an address.
        training_data: Configs and splits of this project that it was trained on.
        pretrained_on: Other data that went into it.
        annotations_seen: Human descriptions of neurons that it has seen, in any way.
        images: Images that it looked at to describe a neuron: the exemplars, or others.
        labels: Labels of those images that it was given; ``none`` for no labels.
        vocabulary: Words or texts that it chose its descriptions from.
        parameters: Number of its parameters.
        licence: Its licence.
        seed: Its random seed.
        hardware: Hardware that it ran on.
        wall_time_s: Seconds it took to describe the neurons.

    >>> Submission(
    ...     board="demo@1", splits=["test"], name="mine", title="Mine", training_data=[],
    ...     annotations_seen="none", pretrained_on="ImageNet",
    ... ).method().annotations_seen
    'none; pretrained on ImageNet'
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
        if any(len(name) > 200 for name in value):
            raise ValueError("a name of at most 200 characters is expected")
        return value

    def method(self) -> Method:
        """Return the method as results record it."""
        seen = self.annotations_seen
        if self.pretrained_on:
            seen = f"{seen}; pretrained on {self.pretrained_on}"[:500]
        fields = self.model_dump(include=set(Method.model_fields))
        return Method(**{**fields, "annotations_seen": seen})


def read_submission(data: bytes, problems: Problems) -> Submission | None:
    """Read and check ``submission.yaml``.

    Args:
        data: The file.
        problems: Collects everything that is wrong, with its line.

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
        submission = Submission(**plain)
    except ValidationError as error:
        for details in error.errors():
            _add_fault(details, lines, problems)
        return None
    if submission.describer and submission.kind == "method":
        message = (
            f"describer {submission.describer!r} is made of references; it is for anchors (kind: "
            "control or human)"
        )
        problems.add(METADATA, lines.get("describer"), "fields", message)
    return submission if problems.total == before else None


def _add_fault(fault: ErrorDetails, lines: dict[str, int], problems: Problems) -> None:
    """Add a fault that pydantic reports, in this project's words."""
    path = [str(name) for name in fault["loc"]]
    key = path[0] if path else ""
    message = f"{'.'.join(path)}: {fault['msg'].removeprefix('Value error, ')}"
    if fault["type"] == "extra_forbidden":
        hint = did_you_mean(key, Submission.model_fields)
        message = f"{key!r} is not a field of a submission{hint}"
    elif fault["type"] == "missing":
        message = f"the field {key!r} is missing"
    elif not isinstance(fault["input"], (dict, list)):
        message += f" (found {str(fault['input'])[:60]!r})"
    problems.add(METADATA, lines.get(key), "fields", message)


def check_against(
    submission: Submission, board: BoardDefinition, data: bytes, problems: Problems
) -> None:
    """Check that a submission is for this version of this board, and for splits of it."""
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
    splits = [split.name for split in board.splits]
    for name in submission.splits:
        if name not in splits:
            problems.add(
                METADATA,
                lines.get("splits"),
                "splits",
                f"{board.label} has no split {name!r}{did_you_mean(name, splits)} (splits: "
                f"{', '.join(splits)})",
            )
    if len(set(submission.splits)) < len(submission.splits):
        problems.add(METADATA, lines.get("splits"), "splits", "a split is named twice")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _texts(item)]
