"""Which columns are refused to which training data."""

from __future__ import annotations

import pytest

from leaderboard.definition import BoardDefinition, read_board
from leaderboard.training_data import find_selections, known_names, overlap, selections_of
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
    learnt, held = (selections_of(name, learnt=side)[0] for side in (True, False))
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


def test_annotations_alone_are_those_of_the_same_neurons(release: BoardDefinition) -> None:
    expected = {"alexnet-imagenet", "within-alexnet-imagenet"}
    assert _refused(release, "alexnet-imagenet-annotations") == expected


def test_configs_of_one_split_and_none(release: BoardDefinition) -> None:
    for name in ("alexnet-imagenet/train", "alexnet/imagenet/train"):
        assert _refused(release, name) == {"alexnet-imagenet", "within-alexnet-imagenet"}
    assert _refused(release, "base/train") == _refused(release, "base")
    assert _refused(release, "none") == set()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("demo/tset", "demo/test"), ("demo/Test", "demo/test"), ("demo / test", "demo/test"),
        ("demo\\test", "demo/test"), ("demo/test ", "demo/test"), ("demo/test/", "demo/test"),
        ("DEMO", "demo"), ("demo/te\u200bst", "demo/test"), ("demo/te\u0301st", "demo/test"),
        ("\uff44\uff45\uff4d\uff4f/test", "demo/test"), ("d\u0435mo/test", "demo/test"),
        ("base/x", "base"), ("base/test", "base"),
        ("alexnet-imagenet/nonsense", "alexnet-imagenet"),
        ("alexnet_imagenet", "alexnet-imagenet"), ("alexnet/imagenet/x", "alexnet-imagenet"),
        ("within-network/alexnet_imagenet", "within-network/alexnet-imagenet"),
        ("within-network/", "within-network/"), ("validation/demo", "demo/validation"),
    ],
)  # fmt: skip
def test_names_that_do_not_exist_are_told_with_near_ones(
    release: BoardDefinition, name: str, meant: str
) -> None:
    with pytest.raises(InputError) as caught:
        _refused(release, name)
    assert f"'{meant}" in str(caught.value)


_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-_/. ABCXYZ\u0430\u0435\u200b\u0301\u00ad"


def _neighbours(name: str) -> set[str]:
    """Return every string that one slip of the keyboard makes of a name."""
    variants = {name.upper(), name.title(), f" {name}", f"{name}\n"}
    for at in range(len(name) + 1):
        head, tail = name[:at], name[at:]
        variants |= {head + letter + tail for letter in _ALPHABET}
        if tail:
            variants |= {head + letter + tail[1:] for letter in _ALPHABET} | {head + tail[1:]}
            variants.add(head + tail[0].swapcase() + tail[1:])
        if len(tail) > 1:
            variants.add(head + tail[1] + tail[0] + tail[2:])
    return variants - {name}


@pytest.mark.parametrize("board", ["demo", "milannotations"])
def test_no_slip_makes_harmless_what_is_not(board: str) -> None:
    """A misspelt name is an error, or is itself one that refuses the same columns."""
    asked = read_board(board)
    names = known_names(asked)
    names += [f"{name}/train" for name in names if "/" not in name]
    spelled = {*names, *(name.replace("-", "/") for name in names)}
    tested = [selections_of(split.source, learnt=False, board=asked) for split in asked.splits]

    def columns(name: str) -> set[int] | None:
        learnt = find_selections(name, learnt=True, board=asked)
        if learnt is None:
            return None
        pairs = ((at, one) for at, own in enumerate(tested) for one in own)
        return {at for at, one in pairs if any(part.overlaps(one) for part in learnt)}

    tried = 0
    for name in spelled:
        refused = columns(name)
        for other in _neighbours(name) if refused else ():
            tried += 1
            variants = columns(other)
            assert variants is None or variants >= refused, (name, other)
    assert tried > (3_000 if board == "demo" else 100_000)


@pytest.mark.parametrize("name", ["ImageNet-1k", "LAION-2B", "within-network/resnet", "x/y"])
def test_what_is_no_data_of_ours_is_an_error(release: BoardDefinition, name: str) -> None:
    with pytest.raises(InputError, match=r"not a config|no published|no split"):
        _refused(release, name)
