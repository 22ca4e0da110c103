"""Reviewing a change that adds submissions: each is checked and scored, by nothing that is in it.

The change is a stranger's: of its checkout only the two files of each submission are read. Boards,
their neurons and all code are those of the installed project.
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

_PLACE = re.compile(r"leaderboard/boards/([a-z0-9][a-z0-9_-]{0,63})/submissions/([^/]+)/(.+)")
_TOLD = 20  # problems of one submission in the summary


@dataclass
class ReviewedSubmission:
    """One submission of a change.

    Attributes:
        board: Name of its board.
        name: Name of its folder.
        problems: All that is wrong, a line each.
        notes: What a person who decides should know.
        result: What it scores; None if something is wrong, or nothing is left of it.
    """

    board: str
    name: str
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    result: Result | None = None


@dataclass
class Review:
    """A change: its submissions, and what else it changes."""

    submissions: list[ReviewedSubmission]
    others: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with any of its submissions."""
        return not any(one.problems for one in self.submissions)


def review(
    checkout: Path, base: str, out: Path, device: Any = "cpu", notify: Notify = lambda _: None
) -> Review:
    """Check and score every submission that a change adds or changes.

    Args:
        checkout: A git checkout of the change.
        base: The commit that it is a change to.
        out: Folder for ``results/<board>/<method>.json`` with its table, and ``summary.md``.
        device: Where encoders run.
        notify: Called with a line before each long step.

    Raises:
        InputError: If git cannot tell the change, or a board's data are not at hand.
    """
    check_folder(out)
    found: dict[tuple[str, str], ReviewedSubmission] = {}
    others = []
    for path in changed(checkout, base):
        place = _PLACE.fullmatch(path)
        if place is None:
            others.append(path)
            continue
        board, name, file = place.groups()
        one = found.setdefault((board, name), ReviewedSubmission(board, name))
        if file not in (METADATA, *TABLES):
            one.problems.append(f"{file}: no file of a submission; take it out")
    by_board: dict[str, list[ReviewedSubmission]] = {}
    for one in found.values():
        by_board.setdefault(one.board, []).append(one)
    for name, group in by_board.items():
        if name in own_boards():
            _review(checkout, read_board(name), group, out, device, notify)
            continue
        for one in group:
            hint = did_you_mean(name, own_boards())
            one.problems.append(f"there is no board {name!r}{hint}")
    reviewed = Review(list(found.values()), others)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "summary.md") as target:
        target.write_text(summary(reviewed), encoding="utf-8")
    return reviewed


def changed(checkout: Path, base: str) -> list[str]:
    """Return the paths that differ between where a change began and its end.

    Raises:
        InputError: If there is no such checkout or commit.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", base):
        raise InputError(f"{base!r} is no commit")
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
        said = done.stderr.decode(errors="replace").strip()[:300]
        raise InputError(f"{checkout}: git cannot compare it with {base}: {said}")
    return [path.decode(errors="replace") for path in done.stdout.split(b"\0") if path]


def _review(
    checkout: Path,
    board: BoardDefinition,
    group: Sequence[ReviewedSubmission],
    out: Path,
    device: Any,
    notify: Notify,
) -> None:
    whole: dict[str, ReviewedSubmission] = {}
    checked: list[CheckedSubmission] = []
    for one in group:
        place = Path("leaderboard", "boards", board.name, "submissions", one.name)
        folder = checkout / place
        if not folder.is_dir() or folder.resolve() != checkout.resolve() / place:
            one.notes.append("this change takes it away")
            continue
        if not re.fullmatch(METHOD_NAME, one.name):
            one.problems.append(f"{one.name!r} cannot name a method")
            continue
        notify(f"Checking {one.name}")
        found = check(folder, board)
        one.problems += found.problems.lines()
        if found.submission is not None and found.submission.name != one.name:
            one.problems.append(
                f"{METADATA}: the name is {found.submission.name!r}, but the folder {one.name!r}"
            )
        if board.is_frozen():
            one.problems.append(f"{board.label} is frozen since {board.frozen}")
        if found.submission is not None and found.submission.describer:
            one.problems.append(f"{METADATA}: describer: only this project's own anchors have one")
        if found.submission is not None and found.submission.kind != "method":
            one.notes.append(f"it calls itself an anchor ({found.submission.kind})")
        if (board.results / f"{one.name}.json").is_file():
            one.notes.append("the board has a row of this name, which it would replace")
        one.notes += [f"refused on {split}: {why}" for split, why in found.refused.items()]
        if not one.problems and len(found.refused) == len(found.neurons):
            one.problems.append("every split is refused")
        if not one.problems:
            whole[one.name] = one
            checked.append(found)
    if not checked:
        return
    scored, _, _ = score_submissions(checked, board, device, notify)
    for name, score in scored.items():
        score.save(out / "results" / board.name)
        whole[name].result = score.result


def summary(reviewed: Review) -> str:
    """Say a review in Markdown; nothing that a stranger wrote is more than a text in it."""
    lines = ["# Submissions", ""]
    if not reviewed.submissions:
        lines += ["This change adds or changes none.", ""]
    for one in reviewed.submissions:
        verdict = "cannot be taken" if one.problems else "is sound"
        lines += [f"## {as_markdown(one.name)} on {as_markdown(one.board)} {verdict}", ""]
        lines += [f"- {as_markdown(line)}" for line in one.problems[:_TOLD]]
        if len(one.problems) > _TOLD:
            lines.append(f"- … and {len(one.problems) - _TOLD} more")
        lines += [f"- *{as_markdown(line)}*" for line in one.notes]
        if one.result is not None:
            lines += [
                "",
                "| split | metric | value | 95 % interval | n |",
                "| --- | --- | ---: | --- | ---: |",
            ]
            for split, scored in one.result.splits.items():
                for metric, score in scored.scores.items():
                    title = one.result.metrics[metric].title
                    lines.append(
                        f"| {as_markdown(split)} | {as_markdown(title)} | {score.value:.4f} | "
                        f"{score.low:.4f} to {score.high:.4f} | {score.n} |"
                    )
        lines.append("")
    if reviewed.others:
        lines += [
            f"{len(reviewed.others)} other files change, which a person has to read: "
            + ", ".join(as_markdown(path) for path in reviewed.others[:_TOLD])
            + (", …" if len(reviewed.others) > _TOLD else ""),
            "",
        ]
    return "\n".join(lines)
