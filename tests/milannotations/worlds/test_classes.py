"""The rendered classification task: the same images with faces clear and blurred, none twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milannotations.errors import InputError
from milannotations.worlds.classes import CLASSES, LISTING, class_image, write_class_images
from milannotations.worlds.scenes import SHAPES, TEXTURES


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


def test_classes_are_pairs_of_shape_and_texture_that_differ() -> None:
    assert len(set(CLASSES.values())) == len(CLASSES)
    assert all(s in SHAPES and t in TEXTURES for s, t in CLASSES.values())


def test_same_seed_same_bytes_and_no_image_twice(tmp_path: Path) -> None:
    counts = {"train": 3, "test": 2}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_class_images(tmp_path / name, classes=2, per_class=counts, seed=seed, size=48)
    first = _files(tmp_path / "a")
    assert first == _files(tmp_path / "b")
    assert first != _files(tmp_path / "c")
    assert len(first) == len(set(first.values())) == 10
    assert len([name for name in first if name.startswith("train/button/")]) == 3
    listing = json.loads((tmp_path / "a" / LISTING).read_text())
    assert sorted(entry["file"] for entry in listing["files"]) == sorted(first)
    with Image.open(tmp_path / "a" / next(iter(first))) as image:
        assert image.size == (48, 48)


def test_one_number_gives_a_folder_for_each_class(tmp_path: Path) -> None:
    write_class_images(tmp_path / "out", classes=3, per_class=1, size=32)
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == set(list(CLASSES)[:3])


def test_blurring_changes_the_boxes_of_faces_alone() -> None:
    found = 0
    for index in range(6):
        for name in ("marble", "button"):
            clear, soft, bare = (
                class_image(name, 0, index, faces=f, blurred=b)
                for f, b in ((True, False), (True, True), (False, False))
            )
            assert (clear.faces, clear.balls) == (soft.faces, soft.balls)
            inside = np.zeros((224, 224), dtype=bool)
            for left, top, right, bottom in clear.faces:
                inside[top:bottom, left:right] = True
            changed = (np.asarray(clear.image) != np.asarray(soft.image)).any(2)
            assert not (changed & ~inside).any()
            assert changed.any() == bool(clear.faces)
            found += bool(clear.faces)
            for left, top, right, bottom in clear.balls:
                inside[top:bottom, left:right] = True
            without = (np.asarray(clear.image) != np.asarray(bare.image)).any(2)
            assert not (without & ~inside).any()
            assert inside.any()
    assert 2 <= found <= 10


def test_faces_are_in_every_second_class() -> None:
    count = {
        name: sum(bool(class_image(name, 3, i, faces=True).faces) for i in range(12))
        for name in ("flag", "dice")
    }
    assert count["flag"] >= 8
    assert count["dice"] <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "choose 2 to 10"),
        ({"per_class": 0}, "at least 1"),
        ({"per_class": {"a/b": 2}}, "without /"),
        ({"size": 500}, "16 to 224"),
        ({"seed": -1}, "at least 0"),
        ({"blurred": True}, "set faces as well"),
    ],
)
def test_mistakes(options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write_class_images(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="class 'cat'"):
        class_image("cat", 0, 0)
