"""Reviewing a change that adds submissions: each is checked and scored with trusted code.

The change was written by a stranger, so only the two files of each submission are read from its
checkout. Boards, their neurons and all code are those of the installed project.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.harness import Notify
from benchmark.result import METHOD_NAME, Result
from leaderboard.definition import BoardDefinition, own_boards, read_board
from leaderboard.submission.checking import CheckedSubmission, check
from leaderboard.submission.package import METADATA, TABLES
from leaderboard.submission.scoring import score_submissions
from milannotations.errors import InputError, did_you_mean
from milannotations.storage import atomic_path, check_folder
from milannotations.untrusted_text import as_markdown

_SUBMISSION_FILE = re.compile(
    r"leaderboard/boards/([a-z0-9][a-z0-9_-]{0,63})/submissions/([^/]+)/(.+)"
)
_LISTED = 20  # problems of one submission in the summary


@dataclass
class ReviewedSubmission:
    """One submission of a change.

    Attributes:
        board: Name of its board.
        name: Name of its folder.
        problems: Everything that is wrong, a line each.
        notes: What whoever decides on it should know.
        result: Its result; None if something is wrong, or the change removes it.
    """

    board: str
    name: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    result: Result | None = None


@dataclass
class Review:
    """The outcome of a review.

    Attributes:
        submissions: The submissions that the change adds or changes.
        others: Other paths that it changes.
    """

    submissions: list[ReviewedSubmission]
    others: list[str]

    @property
    def good(self) -> bool:
        """Whether all submissions are valid."""
        return not any(reviewed.problems for reviewed in self.submissions)


def review(
    checkout: Path, base: str, out: Path, device: Any = "cpu", notify: Notify = lambda _: None
) -> Review:
    """Check and score every submission that a change adds or changes.

    Args:
        checkout: A git checkout of the change.
        base: The commit that the change is based on.
        out: Folder for ``results/<board>/<method>.json`` with its table, and ``summary.md``.
        device: Where encoders run.
        notify: Called with a line before each long step.

    Raises:
        InputError: If git cannot compare the two, or a board's data are not available.
    """
    check_folder(out)
    submissions: dict[tuple[str, str], ReviewedSubmission] = {}
    others = []
    for path in changed(checkout, base):
        match = _SUBMISSION_FILE.fullmatch(path)
        if match is None:
            others.append(path)
            continue
        board, name, file = match.groups()
        reviewed = submissions.setdefault((board, name), ReviewedSubmission(board, name))
        if file not in (METADATA, *TABLES):
            reviewed.problems.append(f"{file}: not part of a submission; remove it")
    by_board: dict[str, list[ReviewedSubmission]] = {}
    for reviewed in submissions.values():
        by_board.setdefault(reviewed.board, []).append(reviewed)
    for name, group in by_board.items():
        if name in own_boards():
            _review(checkout, read_board(name), group, out, device, notify)
            continue
        for reviewed in group:
            hint = did_you_mean(name, own_boards())
            reviewed.problems.append(f"there is no board {name!r}{hint}")
    result = Review(list(submissions.values()), others)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "summary.md") as target:
        target.write_text(summary(result), encoding="utf-8")
    return result


def changed(checkout: Path, base: str) -> list[str]:
    """Return the paths that differ between the commit a change branched from and its end.

    Raises:
        InputError: If the checkout or the commit does not exist.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", base):
        raise InputError(f"{base!r} is not a commit")
    done = subprocess.run(
        [
            "git",
            "-c",
            "core.fsmonitor=false",
            "diff",
            "--name-only",
            "--no-renames",
            "--no-ext-diff",
            "-z",
            f"{base}...HEAD",
            "--",
        ],
        cwd=checkout,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()[:300]
        raise InputError(f"{checkout}: git cannot compare it with {base}: {message}")
    return [path.decode(errors="replace") for path in done.stdout.split(b"\0") if path]


def _review(
    checkout: Path,
    board: BoardDefinition,
    group: Sequence[ReviewedSubmission],
    out: Path,
    device: Any,
    notify: Notify,
) -> None:
    sound: dict[str, ReviewedSubmission] = {}
    checked: list[CheckedSubmission] = []
    for reviewed in group:
        path = Path("leaderboard", "boards", board.name, "submissions", reviewed.name)
        folder = checkout / path
        if not folder.is_dir() or folder.resolve() != checkout.resolve() / path:
            reviewed.notes.append("this change takes it away")
            continue
        if not re.fullmatch(METHOD_NAME, reviewed.name):
            reviewed.problems.append(f"{reviewed.name!r} cannot name a method")
            continue
        notify(f"Checking {reviewed.name}")
        own = check(folder, board)
        _judge(reviewed, own, board)
        if not reviewed.problems:
            sound[reviewed.name] = reviewed
            checked.append(own)
    if not checked:
        return
    scored, _, _ = score_submissions(checked, board, device, notify)
    for name, score in scored.items():
        score.save(out / "results" / board.name)
        sound[name].result = score.result


def _judge(
    reviewed: ReviewedSubmission, checked: CheckedSubmission, board: BoardDefinition
) -> None:
    """Add the problems and notes of a submission that was checked."""
    problems, notes, submission = reviewed.problems, reviewed.notes, checked.submission
    problems += checked.problems.lines()
    if board.is_frozen():
        problems.append(f"{board.label} is frozen since {board.frozen}")
    if submission is not None:
        if submission.name != reviewed.name:
            problems.append(
                f"{METADATA}: the name is {submission.name!r}, but the folder {reviewed.name!r}"
            )
        if submission.describer:
            problems.append(f"{METADATA}: describer: only this project's own anchors have one")
        if submission.kind != "method":
            notes.append(f"it calls itself an anchor ({submission.kind})")
    if (board.results / f"{reviewed.name}.json").is_file():
        notes.append("the board has a row of this name, which it would replace")
    notes += [f"refused on {split}: {why}" for split, why in checked.refused.items()]
    if not problems and len(checked.refused) == len(checked.neurons):
        problems.append("every split is refused")


def summary(review: Review) -> str:
    """Return a review as Markdown, in which strangers' texts are escaped."""
    lines = ["# Submissions", ""]
    if not review.submissions:
        lines += ["This change adds or changes none.", ""]
    for reviewed in review.submissions:
        verdict = "cannot be accepted" if reviewed.problems else "is valid"
        lines += [f"## {as_markdown(reviewed.name)} on {as_markdown(reviewed.board)} {verdict}", ""]
        lines += [f"- {as_markdown(line)}" for line in reviewed.problems[:_LISTED]]
        if len(reviewed.problems) > _LISTED:
            lines.append(f"- … and {len(reviewed.problems) - _LISTED} more")
        lines += [f"- *{as_markdown(line)}*" for line in reviewed.notes]
        if reviewed.result is not None:
            lines += [
                "",
                "| split | metric | value | 95 % interval | n |",
                "| --- | --- | ---: | --- | ---: |",
            ]
            for split, scored in reviewed.result.splits.items():
                for metric, score in scored.scores.items():
                    title = reviewed.result.metrics[metric].title
                    lines.append(
                        f"| {as_markdown(split)} | {as_markdown(title)} | {score.value:.4f} | "
                        f"{score.low:.4f} to {score.high:.4f} | {score.n} |"
                    )
        lines.append("")
    if review.others:
        lines += [
            f"{len(review.others)} other files change, which a person has to read: "
            + ", ".join(as_markdown(path) for path in review.others[:_LISTED])
            + (", …" if len(review.others) > _LISTED else ""),
            "",
        ]
    return "\n".join(lines)
