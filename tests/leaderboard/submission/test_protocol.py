"""A board whose protocol is the original's: all references at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from benchmark.result import read_result
from leaderboard.definition import BoardDefinition, read_board
from leaderboard.own_submissions import write_own_submissions
from leaderboard.submission.checking import check
from leaderboard.submission.scoring import score_into
from milannotations.errors import InputError
from tests.leaderboard.submission.conftest import BOARD, Make


@pytest.fixture
def original(board_folder: Path, tmp_path: Path) -> BoardDefinition:
    folder = tmp_path / "board"
    shutil.copytree(board_folder, folder)
    (folder / "board.yaml").write_text(yaml.safe_dump({**BOARD, "protocol": "original"}))
    return read_board(folder)


def test_rows_of_both_protocols_share_no_column(
    make: Make, board: BoardDefinition, original: BoardDefinition, tmp_path: Path
) -> None:
    submission = make()
    found = {}
    for asked in (board, original):
        results = tmp_path / asked.protocol
        score_into(results, [check(submission, asked)], asked, sanity=False)
        found[asked.protocol] = read_result(results / "mine.json").splits["first"]
    assert found["held-out"].protocol == "held-out"
    assert found["original"].references == "all annotations at once"
    for name, score in found["original"].scores.items():
        other = found["held-out"].scores[name]
        assert score.signature == f"{other.signature}|protocol:original"
        # More references to meet the best of: never less.
        assert score.value >= other.value


def test_what_is_made_of_references_is_refused(
    make: Make, original: BoardDefinition, tmp_path: Path
) -> None:
    checked = check(make(describer="oracle", kind="control"), original)
    assert any("holds none out" in line for line in checked.problems.lines())
    folders, skipped = write_own_submissions(original, tmp_path / "rows", ["oracle"])
    assert folders == []
    assert "holds no reference out" in skipped["oracle"]


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"protocol": "all"}, "protocol"),
        ({"protocol": "original", "metrics": ["content", "bleu-corrected"]}, "needs an annotation"),
    ],
)
def test_boards_that_make_no_sense(changed: dict, match: str, tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text(yaml.safe_dump({**BOARD, **changed}))
    with pytest.raises(InputError, match=match):
        read_board(tmp_path)
