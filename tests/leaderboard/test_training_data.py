"""Which columns are refused to which training data."""

from __future__ import annotations

import pytest

from leaderboard.definition import BoardDefinition, read_board
from leaderboard.training_data import overlap, parts_of
from milannotations.errors import InputError


@pytest.fixture(scope="module")
def release() -> BoardDefinition:
    return read_board("milannotations")


def _refused(board: BoardDefinition, *declared: str) -> set[str]:
    return {split.name for split in board.splits if overlap(board, split, declared)}


def test_a_config_refuses_itself_and_what_is_held_out_of_it(release: BoardDefinition) -> None:
    expected = {"alexnet-imagenet", "within-alexnet-imagenet"}
    assert _refused(release, "alexnet-imagenet") == expected
    assert _refused(release, "alexnet/imagenet") == expected


def test_the_base_networks_leave_the_transformer(release: BoardDefinition) -> None:
    assert len(release.splits) == 13
    refused = _refused(release, "base")
    assert {s.name for s in release.splits} - refused == {"dino_vits8-imagenet"}


def test_leaving_one_network_out_leaves_its_columns(release: BoardDefinition) -> None:
    assert {s.name for s in release.splits} - _refused(release, "not-biggan-imagenet") == {
        "dino_vits8-imagenet", "biggan-imagenet", "within-biggan-imagenet",
    }  # fmt: skip


def test_learning_within_a_network_refuses_all_of_it_only(release: BoardDefinition) -> None:
    name = "within-network/resnet152-places365"
    assert _refused(release, name) == {"resnet152-places365"}
    learnt, held = (parts_of(name, learnt=side)[0] for side in (True, False))
    assert learnt.units is not None
    assert held.units is not None
    assert not learnt.overlaps(held)
    assert len(learnt.units | held.units) == 3904


def test_splits_of_a_config_are_told_apart() -> None:
    board = read_board("demo")
    assert _refused(board, "demo/train") == set()
    assert _refused(board, "demo/test") == {"test"}
    assert _refused(board, "demo") == {"test", "network"}


def test_nothing_declared_refuses_nothing(release: BoardDefinition) -> None:
    assert _refused(release) == set()


@pytest.mark.parametrize("name", ["ImageNet-1k", "LAION-2B", "within-network/resnet", "x/y"])
def test_what_is_no_data_of_ours_is_an_error(release: BoardDefinition, name: str) -> None:
    with pytest.raises(InputError, match=r"no config|no published|no split"):
        _refused(release, name)
