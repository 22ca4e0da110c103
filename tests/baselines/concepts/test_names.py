from __future__ import annotations

from pathlib import Path

import pytest

from baselines.concepts.broden import Broden
from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.names import open_concepts
from milannotations.errors import InputError
from milannotations.worlds.broden import write_broden


def test_worlds() -> None:
    found = open_concepts("worlds:3:20")
    assert isinstance(found, LabelledScenes)
    assert (found.seed, len(found)) == (3, 20)


def test_broden_with_options(tmp_path: Path) -> None:
    write_broden(tmp_path / "b", 0, 12)
    found = open_concepts(f"broden:{tmp_path / 'b'}?index=index_ade20k.csv&categories=object,color")
    assert isinstance(found, Broden)
    assert set(found.categories) == {"object", "color"}
    assert 0 < len(found) < 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("worlds", "no labelled images are named"),
        ("brodne:x", "did you mean 'broden'"),
        ("broden:", "no labelled images are named"),
        ("worlds:3", "write worlds:SEED:SCENES"),
        ("worlds:a:5", "write worlds:SEED:SCENES"),
        ("worlds:1:5?size=3", "worlds has no option 'size'"),
        ("broden:x?indx=a", "did you mean 'index'"),
        ("broden:x?index", "NAME=VALUE"),
        ("segmenter:x", "add .model=NAME"),
        ("broden:/nowhere/at/all", "/nowhere/at/all"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_concepts(name)
