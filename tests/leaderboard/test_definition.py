"""Boards as files."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import yaml

from leaderboard.definition import BOARDS, BoardDefinition, read_board
from leaderboard.strict_yaml import read_mapping
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


def frozen(value: str) -> BoardDefinition:
    plain = yaml.safe_load((BOARDS / "demo" / "board.yaml").read_text())
    parsed, _ = read_mapping(f"frozen: {value}".encode())
    return BoardDefinition(**{**plain, **parsed}, folder=BOARDS / "demo")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("value", "now", "expected"),
    [
        ("2099-01-01", "2098-12-31T23:59:59+00:00", False),
        ("2099-01-01", "2099-01-01T00:00:00+00:00", True),
        ('"2099-01-01"', "2099-01-01T00:00:00+00:00", True),
        # The day begins in UTC, wherever the scorer is.
        ("2099-01-01", "2099-01-01T01:00:00+02:00", False),
        ("2099-01-01", "2098-12-31T23:00:00-02:00", True),
        ("2020-01-01", "2026-01-01T00:00:00+00:00", True),
        ("null", "2026-01-01T00:00:00+00:00", False),
        ("~", "2026-01-01T00:00:00+00:00", False),
        ("", "2026-01-01T00:00:00+00:00", False),
    ],
)
def test_a_board_is_frozen_from_a_day_on(value: str, now: str, expected: bool) -> None:
    assert frozen(value).is_frozen(at(now)) is expected


def test_a_board_frozen_today_is_frozen_now() -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    tomorrow = today + datetime.timedelta(days=2)
    assert frozen(today.isoformat()).is_frozen()
    assert not frozen(tomorrow.isoformat()).is_frozen()


@pytest.mark.parametrize(
    "value",
    ["2099", "0", "86400", "true", "1.5", "31.12.2099", "2099-1-1", "2099-01", "soon", "'2099'",
     "2099-01-01 12:00:00", "2099-01-01T00:00:00", "2099-01-01T00:00:00+02:00", "[2099-01-01]",
     '""', '"2099-13-01"', '"2099-02-30"', "20990101", "\uff12099-01-01"],
)  # fmt: skip
def test_what_is_no_day_is_told(value: str, tmp_path: Path) -> None:
    text = (BOARDS / "demo" / "board.yaml").read_text()
    (tmp_path / "board.yaml").write_text(f"{text}\nfrozen: {value}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"board\.yaml: frozen: .*"):
        read_board(tmp_path)


def test_a_day_that_there_is_not_in_yaml(tmp_path: Path) -> None:
    text = (BOARDS / "demo" / "board.yaml").read_text()
    (tmp_path / "board.yaml").write_text(f"{text}\nfrozen: 2099-02-30\n")
    with pytest.raises(InputError, match=r"board\.yaml: frozen: .*day"):
        read_board(tmp_path)


@pytest.mark.parametrize("field", ["closed", "opens", "frozn"])
def test_fields_that_there_are_not(tmp_path: Path, field: str) -> None:
    text = (BOARDS / "demo" / "board.yaml").read_text()
    (tmp_path / "board.yaml").write_text(f"{text}\n{field}: 2020-01-01\n")
    with pytest.raises(InputError, match=f"{field}"):
        read_board(tmp_path)
