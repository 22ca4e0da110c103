from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from milannotations.errors import InputError
from milannotations.worlds.broden import BrodenWriter, write_broden

CATEGORIES = ("object", "part", "scene", "texture", "color")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broden") / "b"
    write_broden(folder, 0, 12, first=250)
    return folder


def counted(folder: Path, category: str) -> tuple[Counter[int], Counter[int]]:
    """Images and pixels that have each label, from the files alone."""
    images: Counter[int] = Counter()
    pixels: Counter[int] = Counter()
    for row in table(folder / "index.csv"):
        seen: set[int] = set()
        for entry in filter(None, row[category].split(";")):
            if entry.isdecimal():
                found = np.full(112 * 112, int(entry))
            else:
                rgb = np.asarray(Image.open(folder / "images" / entry)).astype(int)
                found = (rgb[..., 0] + 256 * rgb[..., 1]).ravel()
            pixels.update(found[found > 0].tolist())
            seen |= set(found[found > 0].tolist())
        images.update(seen)
    return images, pixels


@pytest.mark.parametrize("category", CATEGORIES)
def test_frequency_and_coverage_are_those_of_the_files(written: Path, category: str) -> None:
    images, pixels = counted(written, category)
    rows = table(written / f"c_{category}.csv")
    stated = {int(row["number"]): int(row["frequency"]) for row in rows}
    assert {number: times for number, times in stated.items() if times} == images
    for row in rows:
        assert float(row["coverage"]) == pytest.approx(
            pixels[int(row["number"])] / 112**2, abs=1e-6
        )
    [whole] = [row for row in table(written / "category.csv") if row["name"] == category]
    numbers = [int(row["number"]) for row in rows]
    summed = [int(whole[name]) for name in ("first", "last", "count", "frequency")]
    assert summed == [min(numbers), max(numbers), len(numbers), sum(images.values())]


def test_labels_are_listed_with_their_categories(written: Path) -> None:
    labels = {row["name"]: row for row in table(written / "label.csv")}
    [in_objects] = [r for r in table(written / "c_object.csv") if r["name"] == "outline"]
    [in_parts] = [r for r in table(written / "c_part.csv") if r["name"] == "outline"]
    assert labels["outline"]["category"] == (
        f"object({in_objects['frequency']});part({in_parts['frequency']})"
    )
    assert float(labels["outline"]["coverage"]) == pytest.approx(
        float(in_objects["coverage"]) + float(in_parts["coverage"]), abs=2e-6
    )


def test_rows_have_all_that_makes_broden_difficult(written: Path) -> None:
    rows = table(written / "index.csv")
    assert {len(row["part"].split(";")) for row in rows} == {2}
    assert {len(row["object"].split(";")) for row in rows} == {1, 2}
    scenes = [row["scene"] for row in rows]
    assert "" in scenes
    assert "0" in scenes
    assert any(cell.isdecimal() and int(cell) >= 250 for cell in scenes)
    assert [bool(row["texture"]) for row in rows] == [i % 3 == 0 for i in range(12)]
    assert table(written / "index_ade20k.csv") == rows[:6]


def test_labels_that_no_image_has_are_listed_with_none(tmp_path: Path) -> None:
    writer = BrodenWriter(tmp_path, {"object": ["tree", "car"], "scene": ["street-s"]})
    picture = Image.new("RGB", (8, 8))
    writer.add("a", picture, (2, 2), {"object": [np.array([[2, 2], [0, 2]])]})
    writer.add("b", picture, (2, 2), {"object": [2], "scene": [0]})
    writer.finish()
    assert [(row["name"], row["category"]) for row in table(tmp_path / "label.csv")] == [
        ("tree", "object(0)"),
        ("car", "object(2)"),
        ("street-s", "scene(0)"),
    ]
    assert table(tmp_path / "c_object.csv") == [
        {"code": "1", "number": "1", "name": "tree", "frequency": "0", "coverage": "0.000000"},
        {"code": "2", "number": "2", "name": "car", "frequency": "2", "coverage": "1.750000"},
    ]
    assert not (tmp_path / "index_ade20k.csv").exists()


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> dict[str, bytes]:
        write_broden(tmp_path / name, seed, 3)
        files = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        return {path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files}

    first = contents("a", 0)
    assert contents("b", 0) == first
    assert contents("c", 1) != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scenes": 0}, "scenes is 0"),
        ({"segmentation": 0}, "segmentation is 0"),
        ({"size": -1}, "size is -1"),
        ({"first": 0}, "first is 0"),
        ({"first": 65_530}, "not within 1 to 65535"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_broden(tmp_path / "b", 0, **({"scenes": 2} | arguments))
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        write_broden(tmp_path, 0, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
