"""Tests of which numbers share a column and of the order of the methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.result import MetricInfo
from leaderboard.board import Board
from leaderboard.board_building import build_board
from leaderboard.results_folder import load_results
from milannotations.errors import InputError


def board_of(folder: Path, **options: Any) -> Board:
    return build_board(load_results(folder), **options)


def names(board: Board) -> list[str]:
    return [row.method.name for row in board.rows]


def test_load_results_reads_all_by_file_name(results: Path) -> None:
    loaded = load_results(results)
    assert [one.method.name for one in loaded] == ["alpha", "beta", "gamma", "people", "random"]
    assert len(loaded[0].per_neuron) == 14


def test_load_results_refuses_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent is not a folder"):
        load_results(tmp_path / "absent")


def test_load_results_refuses_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no result"):
        load_results(tmp_path)


def test_load_results_names_the_invalid_file(results: Path) -> None:
    (results / "alpha.json").write_text('{"method": {"name": "NO CAPITALS"}}')
    with pytest.raises(InputError, match=r"alpha\.json.*method\.name"):
        load_results(results)


def test_load_results_names_the_missing_table(results: Path) -> None:
    (results / "beta.per_neuron.parquet").unlink()
    with pytest.raises(InputError, match=r"beta\.per_neuron\.parquet is missing"):
        load_results(results)


def test_load_results_names_the_broken_table(results: Path) -> None:
    (results / "beta.per_neuron.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"beta\.per_neuron\.parquet: not a Parquet table"):
        load_results(results)


def test_load_results_refuses_a_method_twice(results: Path) -> None:
    (results / "copy.json").write_bytes((results / "alpha.json").read_bytes())
    with pytest.raises(InputError, match=r"copy\.json is a second result of method 'alpha'"):
        load_results(results)


def test_rows_are_ordered_by_the_main_column_with_anchors_in_place(results: Path) -> None:
    board = board_of(results)
    assert names(board) == ["people", "beta", "alpha", "gamma", "random"]
    assert [row.rank for row in board.rows] == [None, 1, 2, 3, None]
    assert board.main == 0
    assert board.columns[0].key.metric == "identification"


def test_splits_without_scores_have_no_column(results: Path) -> None:
    board = board_of(results)
    assert board.splits == ("test", "network")
    assert {column.key.split for column in board.columns} == {"test"}


def test_another_main_metric_reorders(results: Path) -> None:
    board = board_of(results, main_metric="bleu")
    assert names(board) == ["gamma", "beta", "alpha", "random", "people"]  # people have no BLEU
    assert board.rows[-1].rank is None


def test_lower_is_better_ranks_the_lowest_first(tmp_path: Path, save_result: Any) -> None:
    for name, value in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        save_result(tmp_path, name, {"loss": value})
    board = board_of(tmp_path, main_metric="loss")
    assert names(board) == ["b", "c", "a"]
    assert [row.rank for row in board.rows] == [1, 2, 3]


def test_ties_share_a_rank_and_are_ordered_by_title(tmp_path: Path, save_result: Any) -> None:
    for name, value in (("zeta", 0.8), ("eta", 0.8), ("iota", 0.9), ("last", 0.1)):
        save_result(tmp_path, name, {"identification": value})
    board = board_of(tmp_path)
    assert names(board) == ["iota", "eta", "zeta", "last"]
    assert [row.rank for row in board.rows] == [1, 2, 2, 4]


def test_methods_whose_intervals_overlap_share_a_rank(tmp_path: Path, save_result: Any) -> None:
    for name, value in (("a", 0.9), ("b", 0.85), ("c", 0.79), ("d", 0.6)):
        save_result(tmp_path, name, {"identification": value})  # each ± .05
    assert [row.rank for row in board_of(tmp_path).rows] == [1, 1, 2, 4]


def test_a_method_at_chance_has_no_rank(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "lucky", {"identification": 0.53})
    assert [(row.rank, row.at_chance) for row in board_of(tmp_path).rows] == [(None, True)]
    save_result(tmp_path, "good", {"identification": 0.8})
    save_result(tmp_path, "other", {"bleu": 0.8})
    save_result(tmp_path, "random", {"identification": 0.5}, kind="control")
    assert [(row.method.name, row.rank, row.at_chance) for row in board_of(tmp_path).rows] == [
        ("good", 1, False), ("lucky", None, True), ("random", None, False), ("other", None, False),
    ]  # fmt: skip


@pytest.mark.parametrize("higher", [True, False])
def test_added_rows_at_chance_change_no_rank(
    tmp_path: Path, save_result: Any, higher: bool
) -> None:
    metric = MetricInfo(title="Turned", higher_is_better=higher, chance=0.5)
    sign = 1 if higher else -1

    def save(name: str, gain: float) -> None:
        save_result(tmp_path, name, {"turned": 0.5 + sign * gain}, metrics={"turned": metric})

    for name, gain in (("a", 0.4), ("b", 0.35), ("c", 0.2), ("d", 0.06)):
        save(name, gain)
    expected = {"a": 1, "b": 1, "c": 3, "d": 4}
    for count in (0, 10, 40):
        for i in range(count):
            save(f"junk{i}", 0.001 * (i % 50 - 25))
        ranks = {row.method.name: row.rank for row in board_of(tmp_path, main_metric="turned").rows}
        assert {name: rank for name, rank in ranks.items() if name in expected} == expected
        assert {rank for name, rank in ranks.items() if name not in expected} <= {None}


def test_controls_do_not_take_a_rank(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "shuffled", {"identification": 0.9}, kind="control")
    save_result(tmp_path, "real", {"identification": 0.8})
    assert [row.rank for row in board_of(tmp_path).rows] == [None, 1]


def test_methods_without_the_main_metric_come_last(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "a", {"bleu": 0.9})
    save_result(tmp_path, "b", {"identification": 0.3})
    board = board_of(tmp_path)
    assert names(board) == ["b", "a"]
    assert [row.rank for row in board.rows] == [1, None]


def test_signatures_never_share_a_column(tmp_path: Path, save_result: Any, make_score: Any) -> None:
    save_result(tmp_path, "a", {"identification": make_score(0.7, "encoder:large")})
    save_result(tmp_path, "b", {"identification": make_score(0.9, "encoder:small")})
    save_result(tmp_path, "c", {"identification": make_score(0.8, "encoder:small")})
    board = board_of(tmp_path)
    assert [c.key.signature for c in board.columns] == ["encoder:small", "encoder:large"]
    assert [c.variant for c in board.columns] == [1, 2]
    for row in board.rows:
        assert sum(score is not None for score in row.cells) == 1
    # The column most methods share ranks; a number of another signature has no rank there.
    assert [(row.method.name, row.rank) for row in board.rows] == [("b", 1), ("c", 2), ("a", None)]


def test_fingerprints_never_share_a_column(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "a", {"identification": 0.7}, fingerprint="old")
    save_result(tmp_path, "b", {"identification": 0.6}, fingerprint="new")
    board = board_of(tmp_path)
    assert [c.key.fingerprint for c in board.columns] == ["old", "new"]
    assert [row.rank for row in board.rows] == [1, None]


def test_main_split_is_chosen(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "a", {"identification": 0.7}, split="easy")
    save_result(tmp_path, "b", {"identification": 0.6}, split="hard")
    assert board_of(tmp_path).splits == ("easy", "hard")
    board = board_of(tmp_path, main_split="hard")
    assert board.splits == ("hard", "easy")
    assert names(board) == ["b", "a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"main_metric": "identificaton"}, "did you mean 'identification'"),
        ({"main_split": "tset"}, "no result has the split 'tset'; did you mean 'test'"),
        ({"main_split": "network"}, "no result has the metric 'identification' on split"),
    ],
)
def test_an_unknown_main_column_is_refused(
    results: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        board_of(results, **options)


def test_a_board_without_any_score_has_rows_only(tmp_path: Path, save_result: Any) -> None:
    save_result(tmp_path, "b")
    save_result(tmp_path, "a")
    board = board_of(tmp_path)
    assert (board.columns, board.main, names(board)) == ((), None, ["a", "b"])


@pytest.mark.parametrize("change", [{"chance": 0.1}, {"higher_is_better": False}])
def test_results_must_agree_on_what_a_column_means(
    tmp_path: Path, save_result: Any, change: dict[str, Any]
) -> None:
    save_result(tmp_path, "a", {"identification": 0.7})
    other = MetricInfo(**{"title": "Identification", "chance": 0.5, **change})
    save_result(tmp_path, "b", {"identification": 0.6}, metrics={"identification": other})
    with pytest.raises(
        InputError, match=rf"b\.json: metric 'identification' has {next(iter(change))}"
    ):
        board_of(tmp_path)


def test_a_result_of_the_wrong_schema_version_is_refused(results: Path) -> None:
    path = results / "alpha.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 4}))
    with pytest.raises(InputError, match="schema_version"):
        load_results(results)
