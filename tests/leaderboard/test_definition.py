"""Boards as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from leaderboard.definition import BOARDS, read_board
from milannotations.errors import InputError
from tests.leaderboard.submission.conftest import BOARD, annotated, board, board_folder

__all__ = ["board", "board_folder"]  # fixtures, found by their names


@pytest.mark.parametrize("name", ["demo", "milannotations"])
def test_boards_that_come_with_the_project_are_valid(name: str) -> None:
    found = read_board(name)
    assert found.name == name
    assert found.label == f"{name}@1"
    assert found.folder == BOARDS / name


def test_the_demo_s_neurons_have_the_recorded_fingerprints() -> None:
    found = read_board()
    assert [len(found.neurons(split.name)) for split in found.splits] == [85, 240]


def test_a_board_is_read_from_its_folder_or_file(board_folder: Path) -> None:
    assert read_board(board_folder) == read_board(board_folder / "board.yaml")
    assert read_board(board_folder).notes == {"second": "Another network."}


def test_other_neurons_than_the_board_s_are_refused(tmp_path: Path) -> None:
    splits = [{"name": "first", "source": "first.parquet", "fingerprint": "0" * 16}]
    (tmp_path / "board.yaml").write_text(yaml.safe_dump({**BOARD, "splits": splits}))
    annotated("net", ["a"] * 8).to_parquet(tmp_path / "first.parquet")
    with pytest.raises(InputError, match="fingerprint"):
        read_board(tmp_path).neurons("first")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"main_split": "third"}, "main_split"),
        ({"main_metric": "bleu"}, "main_metric"),
        ({"metrics": ["blue"]}, "did you mean 'bleu'"),
        ({"metrics": []}, "metrics"),
        ({"version": 0}, "version"),
        ({"name": "../x"}, "name"),
        ({"splits": [*BOARD["splits"], dict(BOARD["splits"][0])]}, "same name"),  # type: ignore[misc,index]
        ({"splits": [{"name": "a/b", "source": "x"}]}, "splits"),
        ({"resamples": 10}, "resamples"),
        ({"extra": 1}, "extra"),
    ],
)
def test_boards_that_are_not_valid(tmp_path: Path, change: dict, match: str) -> None:
    (tmp_path / "board.yaml").write_text(yaml.safe_dump({**BOARD, **change}))
    with pytest.raises(InputError, match=match):
        read_board(tmp_path)


def test_no_board(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'demo'"):
        read_board("dmeo")
    with pytest.raises(InputError, match="no board"):
        read_board(tmp_path)


def test_a_split_that_is_not_there() -> None:
    with pytest.raises(InputError, match="did you mean 'test'"):
        read_board().split("tset")
