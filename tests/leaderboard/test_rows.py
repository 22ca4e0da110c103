"""Tests of this project's own rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from leaderboard.definition import BoardDefinition, read_board
from leaderboard.rows import CONTESTANTS, DEMO, write_rows
from leaderboard.submission.checks import check
from leaderboard.submission.scoring import score_submissions
from milannotations.errors import InputError
from tests.leaderboard.submission.conftest import BOARD, WORDS, annotated


@pytest.fixture
def make_board(tmp_path: Path) -> BoardDefinition:
    """A board whose references people wrote."""
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "board.yaml").write_text(yaml.safe_dump({**BOARD, "references": "people"}))
    for name, model in (("first", "net"), ("second", "other")):
        annotated(model, WORDS).to_parquet(folder / f"{name}.parquet")
    return read_board(folder)


CHEAP = ["people", "constant", "constant-frequent", "random-train"]


def test_rows_are_submissions_like_any_other(make_board: BoardDefinition, tmp_path: Path) -> None:
    folders, skipped = write_rows(make_board, tmp_path / "sent", CHEAP, seed=3, device="cpu")
    assert skipped == {}
    assert sorted(folder.name for folder in folders) == sorted(CHEAP)
    checked = [check(folder, make_board) for folder in folders]
    assert [one.problems.lines() for one in checked] == [[]] * 4
    scored, _, _ = score_submissions(checked, make_board)
    by_name = {name: one.result for name, one in scored.items()}
    assert by_name["people"].method.kind == "human"
    assert by_name["random-train"].method.seed == 3
    assert by_name["random-train"].method.training_data == ["demo/train"]
    values = {name: r.splits["first"].scores["content"].value for name, r in by_name.items()}
    assert values["people"] > values["constant"]
    for split in ("first", "second"):
        assert by_name["people"].splits[split].scored == 8


def test_what_is_there_stays_unless_it_is_to_be_made_anew(
    make_board: BoardDefinition, tmp_path: Path
) -> None:
    out = tmp_path / "sent"
    write_rows(make_board, out, ["constant"], device="cpu")
    table = out / "constant" / "descriptions.csv"
    table.write_text(table.read_text().replace("objects", "things"))
    write_rows(make_board, out, ["constant"], device="cpu")
    assert "things" in table.read_text()
    write_rows(make_board, out, ["constant"], device="cpu", overwrite=True)
    assert "things" not in table.read_text()


def test_references_decide_which_ceiling_there_is(
    make_board: BoardDefinition, tmp_path: Path
) -> None:
    _, skipped = write_rows(make_board, tmp_path / "sent", ["oracle"], device="cpu")
    assert skipped == {"oracle": "it is for boards whose references are by program"}
    assert read_board("milannotations").references == "people"
    assert read_board("demo").references == "program"


def test_unknown_rows_are_refused(make_board: BoardDefinition, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row is named 'retreival'; did you mean 'retrieval'"):
        write_rows(make_board, tmp_path / "sent", ["retreival"])


def test_a_row_that_cannot_be_made_is_told(make_board: BoardDefinition, tmp_path: Path) -> None:
    """Scenes that there are not; the other rows are made all the same."""
    folders, skipped = write_rows(
        make_board, tmp_path / "sent", ["constant", "netdissect"], concepts="nowhere", device="cpu"
    )
    assert [folder.name for folder in folders] == ["constant"]
    assert "nowhere" in skipped["netdissect"]


def test_every_row_that_can_be_made_is_kept_for_the_demo_s_board() -> None:
    kept = {path.name for path in read_board("demo").submissions.iterdir()}
    # No weights of CLIP install from a package index, and nobody has annotated the demo.
    assert kept == set(CONTESTANTS) - {"clip-dissect", "people"}
    assert {path.stem for path in read_board("demo").results.glob("*.json")} == kept
    assert set(DEMO) <= kept
