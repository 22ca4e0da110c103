"""Label sets of one name and size are told apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from baselines.concepts.dataset_files import sizes
from baselines.concepts.segmented import PictureFolder
from benchmark.functional.scorers import ContrastiveScorer
from milannotations.inputs.sources import ImageFolder


def _maps(folder: Path, value: int) -> list[Path]:
    folder.mkdir(parents=True)
    for number in range(3):
        pixels = np.full((32, 32), value, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_maps_of_the_same_sizes_are_told_apart(tmp_path: Path) -> None:
    first, second = _maps(tmp_path / "a" / "labels", 3), _maps(tmp_path / "b" / "labels", 4)
    assert [p.stat().st_size for p in first] == [p.stat().st_size for p in second]
    lines = [sizes(first, first[0].parent), sizes(second, second[0].parent)]
    assert lines[0] != lines[1]
    assert lines[0] == sizes(_maps(tmp_path / "c" / "labels", 3), tmp_path / "c" / "labels")
    missing = sizes([tmp_path / "none.png"], tmp_path)
    assert missing == ["none.png -1 00000000"]


def test_pictures_to_be_segmented_are_told_apart(tmp_path: Path) -> None:
    for name, value in (("a", 3), ("b", 4), ("c", 3)):
        _maps(tmp_path / name / "pictures", value)
    identities = [PictureFolder(tmp_path / name / "pictures").identity() for name in "abc"]
    assert identities[0] != identities[1]
    assert identities[0] == identities[2]


def test_image_sets_of_one_name_share_no_column_of_functional_metrics(tmp_path: Path) -> None:
    signatures = []
    for name, value in (("a", 3), ("b", 4), ("c", 3)):
        _maps(tmp_path / name / "pictures", value)
        images = ImageFolder(tmp_path / name / "pictures")
        model = SimpleNamespace(label="clip")
        signatures.append(ContrastiveScorer(model, images).signature)  # type: ignore[arg-type]
    assert signatures[0] != signatures[1]
    assert signatures[0] == signatures[2]
