"""Checking a submission: everything at once, before anything is scored."""

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
from leaderboard.submission.package import METADATA, open_package
from leaderboard.submission.problems import Problems
from leaderboard.training_data import NONE, NeuronSelection, mentioned, overlap, selections_of
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of


@dataclass
class CheckedSubmission:
    """A submission that was looked at.

    Attributes:
        path: Its folder or zip.
        problems: All that is wrong; only without any is the rest to be used.
        submission: Its metadata; None if they cannot be read.
        neurons: The neurons of each of its splits.
        texts: For each split one description per neuron.
        refused: Why a split will not be scored, by split; no problem, as others still are.
        digest: SHA-256 of metadata and descriptions, whatever files they came in.
    """

    path: Path
    problems: Problems
    submission: Submission | None = None
    neurons: dict[str, Dataset] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def summary(self) -> list[str]:
        """Say what was found, split by split."""
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
        What was found; ``problems`` says all that is wrong.

    Raises:
        InputError: If there is no such file, it is no zip that can be trusted, or the board's own
            data are not at hand.
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
    known = {split.name for split in board.splits}
    splits = [split for split in board.chosen() if split.name in set(submission.splits) & known]
    if _check_training_data(submission, board, package.metadata, problems):
        for split in splits:
            reason = overlap(board, split, submission.training_data)
            if reason and submission.kind == "method":
                checked.refused[split.name] = reason
    if submission.describer:
        if package.table is not None:
            problems.add(
                package.table_name,
                None,
                "twice",
                "beside a describer that is run for the descriptions; send one of them",
            )
    elif package.table is None and not any(p.file == package.table_name for p in problems.found):
        problems.add(
            package.table_name,
            None,
            "missing",
            "missing; `milannotations leaderboard init` writes one with every neuron",
        )
    checked.neurons = {split.name: board.neurons(split.name) for split in splits}
    keys = {name: keys_of(neurons) for name, neurons in checked.neurons.items()}
    # With a split that there is not, every row of it would be told to be wrong as well.
    if package.table is not None and known.issuperset(submission.splits):
        rows = read_rows(package.table, package.table_name, problems)
        checked.texts = place_rows(rows, keys, package.table_name, problems)
    checked.digest = digest(submission, keys, checked.texts)
    return checked


def _check_training_data(
    submission: Submission, board: BoardDefinition, data: bytes, problems: Problems
) -> bool:
    """Check that all that is declared exists, and that no other field names more of it."""
    _, lines = read_mapping(data)
    declared: list[NeuronSelection] = []
    before = problems.total
    for name in submission.training_data:
        try:
            declared += selections_of(name, learnt=True, board=board)
        except InputError as error:  # noqa: PERF203
            problems.add(
                METADATA, lines.get("training_data"), "training data", f"training_data: {error}"
            )
    if NONE in submission.training_data and len(submission.training_data) > 1:
        problems.add(
            METADATA,
            lines.get("training_data"),
            "training data",
            f"training_data: {NONE!r} stands beside other names; leave it out",
        )
    if submission.kind == "method":
        for field in ("annotations_seen", "pretrained_on"):
            for name in mentioned(getattr(submission, field)):
                parts = selections_of(name, learnt=True, board=board)
                if not any(part.overlaps(one) for part in parts for one in declared):
                    problems.add(
                        METADATA,
                        lines.get(field),
                        "training data",
                        f"{field} names {name!r}, which is data of this project: name it in "
                        "training_data too, by which columns are refused",
                    )
    return problems.total == before


def digest(
    submission: Submission,
    keys: Mapping[str, Sequence[NeuronKey]],
    texts: Mapping[str, Sequence[str]],
) -> str:
    """Return the SHA-256 of what a submission says, whatever the order of its rows."""
    rows = [
        [split, *key, text]
        for split in sorted(texts)
        for key, text in sorted(zip(keys[split], texts[split], strict=True))
    ]
    plain = [submission.model_dump(mode="json"), rows]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
