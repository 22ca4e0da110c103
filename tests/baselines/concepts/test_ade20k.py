from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baselines.concepts.ade20k import ADE20K, SceneParsing
from milannotations.errors import InputError

HEADER = "Idx\tRatio\tTrain\tVal\tStuff\tName\n"


def scene_parsing(root: Path) -> Path:
    """Write three images of 6 × 8 with known maps."""
    for index in range(3):
        name = f"ADE_val_{index + 1:08d}"
        for kind in ("images", "annotations"):
            (root / kind / "validation").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (index, 0, 0)).save(root / "images/validation" / f"{name}.jpg")
        Image.fromarray(challenge_map(index)).save(root / "annotations/validation" / f"{name}.png")
    (root / "objectInfo150.txt").write_text(
        HEADER
        + "1\t0.1\t11\t12\t1\twall              \n"
        + "2\t0.1\t11\t12\t1\tbuilding, edifice\n"
        + "3\t0.1\t11\t12\t0\tcrt screen;monitor\n"
    )
    (root / "sceneCategories.txt").write_text("ADE_val_00000001 kitchen\nADE_val_00000003 street\n")
    return root


def class_lines(root: Path, *lines: str) -> None:
    (root / "objectInfo150.txt").write_text(HEADER + "\n".join(lines) + "\n")


def challenge_map(index: int) -> np.ndarray:
    return ((np.arange(48).reshape(6, 8) + index) % 4).astype(np.uint8)


def test_the_challenge(tmp_path: Path) -> None:
    source = SceneParsing(scene_parsing(tmp_path))
    assert [(c.name, c.category, c.number) for c in source.concepts] == [
        ("wall", "object", 1), ("building", "object", 2), ("crt screen", "object", 3),
        ("kitchen", "scene", 4), ("street", "scene", 5),
    ]  # fmt: skip
    assert source.categories == ("object", "scene")
    assert source.check() == []
    for index, whole in enumerate([(4,), (), (5,)]):
        labels = source.labels(index)
        np.testing.assert_array_equal(labels.pixels[0], challenge_map(index))
        assert labels.whole == whole
    assert source.image(1).size == (8, 6)
    assert source.name(2) == "ADE_val_00000003.jpg"


def test_the_challenge_without_scenes(tmp_path: Path) -> None:
    (scene_parsing(tmp_path) / "sceneCategories.txt").unlink()
    source = SceneParsing(tmp_path)
    assert source.categories == ("object",)
    assert source.labels(0).whole == ()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "objectInfo150.txt").unlink(), "does not exist"),
        (lambda f: (f / "objectInfo150.txt").write_text("Idx,Name\n"), "tab-separated"),
        (lambda f: (f / "objectInfo150.txt").write_text(HEADER + "x\t1\n"), "is no class"),
        (lambda f: (f / "objectInfo150.txt").write_text(HEADER), "names no class"),
        (lambda f: class_lines(f, "0\t\t\t\t\tnone"), "is no class"),
        (lambda f: class_lines(f, "99999999999\t\t\t\t\tfar"), "is no class"),
        (lambda f: class_lines(f, "1\t\t\t\t\twall", "1\t\t\t\t\tdoor"), "number of another"),
        (lambda f: (f / "sceneCategories.txt").write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda f: (f / "sceneCategories.txt").write_text("a b c\n"), "name and its scene"),
    ],
)
def test_bad_tables(tmp_path: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(scene_parsing(tmp_path))
    with pytest.raises(InputError, match=message):
        SceneParsing(tmp_path)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.fromarray(np.full((6, 8), 9, dtype=np.uint8)), "label 9"),
        # The number that the first scene has among the concepts: no pixel can be a scene.
        (Image.fromarray(np.full((6, 8), 4, dtype=np.uint8)), "label 4"),
        (Image.new("L", (8, 5)), "5 × 8, and .* 6 × 8"),
        (Image.new("RGB", (8, 6)), "no greyscale"),
    ],
)
def test_bad_maps(tmp_path: Path, picture: Image.Image, message: str) -> None:
    source = SceneParsing(scene_parsing(tmp_path))
    picture.save(tmp_path / "annotations/validation/ADE_val_00000001.png")
    with pytest.raises(InputError, match=message):
        source.labels(0)


def test_splits_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="split 'val'"):
        SceneParsing(tmp_path, "val")
    with pytest.raises(InputError, match="holds no image"):
        SceneParsing(tmp_path)
    source = SceneParsing(scene_parsing(tmp_path))
    (tmp_path / "annotations/validation/ADE_val_00000002.png").unlink()
    assert len(source.check()) == 1
    assert "00000002.png does not exist" in source.check()[0]


def test_pictures_that_cannot_be_read_or_lie_elsewhere(tmp_path: Path) -> None:
    source = SceneParsing(scene_parsing(tmp_path / "ade"))
    image = tmp_path / "ade/images/validation/ADE_val_00000001.jpg"
    image.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"00000001\.jpg cannot be read"):
        source.labels(0)
    image.unlink()
    Image.new("RGB", (8, 6)).save(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    assert "00000001.jpg is a link that leads out" in source.check()[0]
    with pytest.raises(InputError, match="link that leads out"):
        source.labels(0)
    (tmp_path / "ade/objectInfo150.txt").rename(tmp_path / "classes.txt")
    (tmp_path / "ade/objectInfo150.txt").symlink_to(tmp_path / "classes.txt")
    with pytest.raises(InputError, match="link that leads out"):
        SceneParsing(tmp_path / "ade")


def full(root: Path) -> Path:
    """Write two images of the release of 2021: a kitchen with parts, and a street."""
    for number, scene in enumerate(["home_or_hotel/kitchen", "urban/street"], start=1):
        folder = root / "images/ADE/validation" / scene
        folder.mkdir(parents=True)
        stem = folder / f"ADE_val_{number:08d}"
        Image.new("RGB", (8, 6)).save(stem.with_suffix(".jpg"))
        save(full_map(number), stem.with_name(stem.name + "_seg.png"))
        objects = [thing("cabinet, closet", 350, 0), thing("wall", 2978, 0)]
        if number == 1:
            save(part_map(), stem.with_name(stem.name + "_parts_1.png"))
            objects += [thing("door", 774, 1), thing("door", 774, 0), thing("door", 774, 1)]
        text = json.dumps({"annotation": {"object": objects}})
        stem.with_suffix(".json").write_text(text)
    return root


def thing(name: str, number: int, level: int) -> dict[str, Any]:
    return {"name": name, "name_ndx": number, "parts": {"part_level": level}}


def full_map(number: int) -> np.ndarray:
    return np.where(np.arange(48).reshape(6, 8) < 20 * number, 350, 2978)


def part_map() -> np.ndarray:
    return np.where(np.arange(48).reshape(6, 8) % 3 == 0, 774, 0)


def save(numbers: np.ndarray, path: Path) -> None:
    instance = np.arange(numbers.size).reshape(numbers.shape)  # ends up in the blue channel
    red = numbers // 256 * 10 + 3 * (numbers > 0)  # what is below the tens says nothing
    rgb = np.stack([red, numbers % 256, instance], axis=2)
    Image.fromarray(rgb.astype(np.uint8)).save(path)


def test_the_full_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    source = ADE20K(full(tmp_path / "ade"))
    assert [(c.name, c.category, c.number) for c in source.concepts] == [
        ("cabinet", "object", 350), ("door", "part", 774), ("wall", "object", 2978),
        ("kitchen", "scene", 2979), ("street", "scene", 2980),
    ]  # fmt: skip
    numbers = np.array([0, *(c.number for c in source.concepts)])
    kitchen, street = source.labels(0), source.labels(1)
    np.testing.assert_array_equal(numbers[kitchen.pixels], [full_map(1), part_map()])
    np.testing.assert_array_equal(numbers[street.pixels], [full_map(2)])
    assert (kitchen.whole, street.whole) == ((4,), (5,))
    assert source.name(1) == "street/ADE_val_00000002.jpg"
    assert source.check() == []


def test_names_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    first = ADE20K(full(tmp_path / "ade")).concepts
    monkeypatch.setattr("baselines.concepts.ade20k._classes_in", lambda path: pytest.fail("read"))
    assert ADE20K(tmp_path / "ade").concepts == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"does not exist.*index_ade20k\.pkl is not read"),
        ("[" * 100_000, "does not list objects"),
        ("{", "does not list objects"),
        ('{"annotation": {}}', "does not list objects"),
        ('{"annotation": {"object": [{"name": "x"}]}}', "does not list objects"),
    ],
)
def test_bad_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    path = next(full(tmp_path / "ade").rglob("*.json"))
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError, match=message):
        ADE20K(tmp_path / "ade")


def test_the_release_of_2016_is_recognized(tmp_path: Path) -> None:
    (tmp_path / "images/validation").mkdir(parents=True)
    with pytest.raises(InputError, match="release of 2016"):
        ADE20K(tmp_path)


def test_a_class_that_no_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    path = next(full(tmp_path / "ade").rglob("*_00000001_seg.png"))
    save(np.full((6, 8), 1234), path)
    with pytest.raises(InputError, match=r"00000001_seg\.png holds the label 1234"):
        ADE20K(tmp_path / "ade").labels(0)


def test_a_linked_scene_is_named_before_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    scene = next(full(tmp_path / "ade").rglob("*_00000001_seg.png")).parent
    pictures = len(ADE20K(tmp_path / "ade"))
    scene.rename(scene.with_name("moved"))
    scene.symlink_to("moved")  # inside of the folder: the same pictures, twice
    inside = ADE20K(tmp_path / "ade")
    assert len(inside) > pictures and inside.check() == []
    scene.unlink()
    scene.with_name("moved").rename(tmp_path / "elsewhere")
    scene.symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "new"))
    with pytest.raises(InputError, match=r"\.json is a link that leads out"):
        ADE20K(tmp_path / "ade")  # which asks for the names of classes anew
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    assert "is a link that leads out" in ADE20K(tmp_path / "ade").check()[0]


def test_names_are_not_read_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    path = next(full(tmp_path / "ade").rglob("*_00000001.json"))
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match="link that leads out"):
        ADE20K(tmp_path / "ade")


def test_a_map_without_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    path = next(full(tmp_path / "ade").rglob("*_00000001_seg.png"))
    Image.new("L", (8, 6)).save(path)
    with pytest.raises(InputError, match=r"00000001_seg\.png is no RGB picture"):
        ADE20K(tmp_path / "ade").labels(0)
