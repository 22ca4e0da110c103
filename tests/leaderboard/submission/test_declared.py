"""What a submission declares that it learnt from."""

from __future__ import annotations

from typing import Any

import pytest

from leaderboard.definition import BoardDefinition
from leaderboard.submission.checking import check
from tests.leaderboard.submission.conftest import Make


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"training_data": ["demo/tset", "base/x"]}, ["'demo/tset' is no", "'base/x' is no"]),
        ({"training_data": ["none", "demo/train"]}, ["'none' is given beside other names"]),
        ({"annotations_seen": "Demo/test"}, ["annotations_seen names 'demo/test'"]),
        ({"pretrained_on": "ImageNet, alexnet-imagenet"}, ["pretrained_on names 'alexnet-im"]),
        ({"annotations_seen": "demo/test", "training_data": ["demo"]}, []),
        ({"annotations_seen": "a demo of CLIP on ImageNet"}, []),
        ({"training_data": ["none"]}, []),
    ],
)
def test_submissions_are_told_all_of_it(
    make: Make, board: BoardDefinition, fields: dict[str, Any], told: list[str]
) -> None:
    lines = check(make(**fields), board).problems.lines()
    assert len(lines) == len(told), lines
    for line, part in zip(lines, told, strict=True):
        assert part in line
        assert line.startswith("submission.yaml:")
