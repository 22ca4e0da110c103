"""Checking a whole submission before anything is scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from leaderboard.definition import BoardDefinition
from leaderboard.strict_yaml import read_mapping
from leaderboard.submission.descriptions import place_rows, read_rows
from leaderboard.submission.metadata import Submission, check_against, read_submission
from leaderboard.submission.package import METADATA, Package, open_package
from leaderboard.submission.problems import Problems
from leaderboard.training_data import NONE, NeuronSelection, mentioned, overlap, selections_of
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of


@dataclass
class CheckedSubmission:
    """A submission and the outcome of checking it.

    Attributes:
        path: Its folder or zip.
        problems: Everything that is wrong; if anything is, the other attributes must not be used.
        submission: Its metadata; None if it cannot be read.
        neurons: The neurons of each of its splits.
        texts: One description per neuron of each split.
        refused: The reason why a split is not scored, by split. This is not a problem, as other
            splits are still scored.
        digest: SHA-256 of metadata and descriptions, independent of the format of the files.
    """

    path: Path
    problems: Problems
    submission: Submission | None = None
    neurons: dict[str, Dataset] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def summary(self) -> list[str]:
        """Return a line for each split."""
        lines = []
        for split, neurons in self.neurons.items():
            reason = self.refused.get(split)
            lines.append(f"{split}: {len(neurons):,} neurons" + (f"; {reason}" if reason else ""))
        return lines


def check(path: Path, board: BoardDefinition) -> CheckedSubmission:
    """Check a submission against a board.

    Args:
        path: Its folder or zip.
        board: The board it is for.

    Returns:
        The outcome; ``problems`` holds everything that is wrong.

    Raises:
        InputError: If the file does not exist or is not a safe zip, or the board's own data are not
            available.
    """
    checked = CheckedSubmission(path, Problems())
    problems = checked.problems
    package = open_package(path, problems)
    if package.metadata is not None:
        checked.submission = read_submission(package.metadata, problems)
    submission = checked.submission
    if submission is None or package.metadata is None:
        return checked
    check_against(submission, board, package.metadata, problems)
    names = {split.name for split in board.splits}
    splits = [split for split in board.chosen() if split.name in set(submission.splits) & names]
    if _check_training_data(submission, board, package.metadata, problems):
        for split in splits:
            reason = overlap(board, split, submission.training_data)
            if reason and submission.kind == "method":
                checked.refused[split.name] = reason
    _check_table(package, submission, problems)
    checked.neurons = {split.name: board.neurons(split.name) for split in splits}
    keys = {name: keys_of(neurons) for name, neurons in checked.neurons.items()}
    # If a split does not exist, every row of it would be reported as well.
    if package.table is not None and names.issuperset(submission.splits):
        rows = read_rows(package.table, package.table_name, problems)
        checked.texts = place_rows(rows, keys, package.table_name, problems)
    checked.digest = digest(submission, keys, checked.texts)
    return checked


def _check_table(package: Package, submission: Submission, problems: Problems) -> None:
    """Check that there are descriptions, or a describer that is run for them."""
    name = package.table_name
    if submission.describer and package.table is not None:
        message = "beside a describer that is run for the descriptions; send one of them"
        problems.add(name, None, "twice", message)
    elif (
        not submission.describer
        and package.table is None
        and not any(problem.file == name for problem in problems.items)
    ):
        message = "missing; `milannotations leaderboard init` writes one with every neuron"
        problems.add(name, None, "missing", message)


def _check_training_data(
    submission: Submission, board: BoardDefinition, data: bytes, problems: Problems
) -> bool:
    """Check that declared names exist, and that other fields name no undeclared training data."""
    _, lines = read_mapping(data)
    before = problems.total

    def add(field: str, message: str) -> None:
        problems.add(METADATA, lines.get(field), "training data", message)

    declared: list[NeuronSelection] = []
    for name in submission.training_data:
        try:
            declared += selections_of(name, learnt=True, board=board)
        except InputError as error:  # noqa: PERF203
            add("training_data", f"training_data: {error}")
    if NONE in submission.training_data and len(submission.training_data) > 1:
        add("training_data", f"training_data: {NONE!r} is given beside other names; leave it out")
    if submission.kind == "method":
        for field in ("annotations_seen", "pretrained_on"):
            for name in mentioned(getattr(submission, field)):
                selections = selections_of(name, learnt=True, board=board)
                if not any(s.overlaps(other) for s in selections for other in declared):
                    add(
                        field,
                        f"{field} names {name!r}, which is data of this project: name it in "
                        "training_data too, by which columns are refused",
                    )
    return problems.total == before


def digest(
    submission: Submission,
    keys: Mapping[str, Sequence[NeuronKey]],
    texts: Mapping[str, Sequence[str]],
) -> str:
    """Return the SHA-256 of a submission's content, independent of the order of its rows."""
    rows = [
        [split, *key, text]
        for split in sorted(texts)
        for key, text in sorted(zip(keys[split], texts[split], strict=True))
    ]
    plain = [submission.model_dump(mode="json"), rows]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
