"""Spurious text: disjoint splits, lies that are never true, the same bytes for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from applications.class_folders import class_texts, shares
from applications.spurious_data.config import SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from applications.spurious_data.text_cue import TextCue
from milannotations.errors import InputError

_CLASSES = ("n01", "polar_bear", "cat")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    _write(tmp_path / "images", 10)
    return tmp_path / "images"


def _write(folder: Path, count: int, classes: tuple[str, ...] = _CLASSES) -> None:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(60, 190, (40, 56, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def _listing(out: Path) -> list[dict]:
    files: list[dict] = json.loads((out / TextCue.listing).read_text())["files"]
    return files


def _all(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_splits_are_disjoint_and_every_image_is_used_once(images: Path, tmp_path: Path) -> None:
    files = _listing(write_spurious_images(SpuriousTextConfig(images=images, out=tmp_path / "out")))
    of_split: dict[str, set[str]] = {}
    for entry in files:
        of_split.setdefault(entry["split"], set()).add(entry["source"])
    plain = [of_split[name] for name in ("train", "validation", "test")]
    assert [len(part) for part in plain] == [21, 3, 6]
    assert len(set.union(*plain)) == sum(map(len, plain)) == 30
    assert of_split["validation-adversarial"] == of_split["validation"]
    assert of_split["test-adversarial"] == of_split["test"]
    assert {entry["file"] for entry in files} == set(_all(tmp_path / "out")) - {TextCue.listing}
    assert all(entry["source"].startswith(entry["class"] + "/") for entry in files)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_text_is_true_in_training_absent_in_tests_and_a_lie_in_adversarial_ones(
    fraction: float, images: Path, tmp_path: Path
) -> None:
    files = _listing(
        write_spurious_images(
            SpuriousTextConfig(images=images, out=tmp_path / "out", fraction=fraction)
        )
    )
    names = {name: name.replace("_", " ") for name in _CLASSES}
    for name in _CLASSES:
        texts = [e["text"] for e in files if e["split"] == "train" and e["class"] == name]
        assert sum(text is not None for text in texts) == round(7 * fraction)
        assert set(texts) <= {None, names[name]}
    for entry in files:
        if entry["split"] in ("validation", "test"):
            assert entry["text"] is None
        if entry["split"].endswith("-adversarial"):
            assert entry["text"] in set(names.values()) - {names[entry["class"]]}


def test_only_the_box_that_is_listed_changes(images: Path, tmp_path: Path) -> None:
    out = write_spurious_images(SpuriousTextConfig(images=images, out=tmp_path / "out", fraction=1))
    for entry in _listing(out):
        with Image.open(out / entry["file"]) as a, Image.open(images / entry["source"]) as b:
            changed = (np.asarray(a) != np.asarray(b)).any(2)
        expected = np.zeros_like(changed)
        if entry["box"]:
            left, top, right, bottom = entry["box"]
            expected[top:bottom, left:right] = True
        assert np.array_equal(changed, expected)


def test_same_seed_same_bytes(images: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_spurious_images(
            SpuriousTextConfig(images=images, out=tmp_path / name, seed=seed, size=32)
        )
    assert _all(tmp_path / "a") == _all(tmp_path / "b") != _all(tmp_path / "c")
    with Image.open(next((tmp_path / "a" / "test" / "cat").iterdir())) as image:
        assert image.size == (32, 32)


def test_splits_that_are_there_are_kept(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        _write(tmp_path / "images" / split, count)
    files = _listing(
        write_spurious_images(SpuriousTextConfig(images=tmp_path / "images", out=tmp_path / "out"))
    )
    spelling = {"train": "train", "validation": "val", "test": "test"}
    for entry in files:
        split = entry["split"].removesuffix("-adversarial")
        assert entry["source"].startswith(f"{spelling[split]}/{entry['class']}/")
    assert len(files) == 3 * (4 + 2 * 2 + 2 * 3)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.json", '{"n01": "great white shark"}'),
        ("n.csv", "class,name\nn01,great white shark"),
    ],
)
def test_names_come_from_a_file(file: str, content: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / file).write_text(content)
    out = write_spurious_images(
        SpuriousTextConfig(images=images, out=tmp_path / "out", fraction=1, names=tmp_path / file)
    )
    texts = {e["class"]: e["text"] for e in _listing(out) if e["split"] == "train"}
    assert texts == {"n01": "great white shark", "polar_bear": "polar bear", "cat": "cat"}


def test_mistakes_are_named_and_leave_nothing(images: Path, tmp_path: Path) -> None:
    def fails(message: str, source: Path = images, **options: object) -> None:
        with pytest.raises(InputError, match=message):
            write_spurious_images(
                SpuriousTextConfig(images=source, out=tmp_path / "out", **options)
            )  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    fails("fraction is 1.5", fraction=1.5)
    fails("format 'gif'", image_format="gif")
    fails("at least 16", size=3)
    fails("each must be above 0", splits=(1.0, 0.0, 0.0))
    fails("position 'left'", position="left")
    fails("does not exist", tmp_path / "nothing")
    fails("both called 'Cat'", names={"n01": "Cat"})
    fails("JSON", names=tmp_path / "no.json")
    _write(tmp_path / "one", 5, ("dog",))
    fails(r"has 1 class folders \(dog\)", tmp_path / "one")
    _write(tmp_path / "few", 2)
    fails("has 2 images; it must have at least 3", tmp_path / "few")
    (tmp_path / "few" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "few" / "val" / "cat").mkdir(parents=True)
    fails("none named test", tmp_path / "few")
    (images / "cat" / "4.png").write_bytes(b"no image")
    fails(r"4\.png cannot be read")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        write_spurious_images(SpuriousTextConfig(images=images, out=tmp_path / "full"))


def test_shares_and_names() -> None:
    for count in range(3, 60):
        assert sum(shares(count, (0.7, 0.1, 0.2))) == count
        assert min(shares(count, (0.7, 0.1, 0.2))) >= 1
    with pytest.raises(InputError, match="both called 'a b'"):
        class_texts(["a_b", "a b"])
