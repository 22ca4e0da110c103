from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baselines.concepts.coco import CocoPanoptic, CocoStuff
from baselines.concepts.names import open_concepts
from milannotations.errors import InputError

SEGMENTS = np.where(np.arange(48).reshape(6, 8) < 20, 3_226_956, 0)
SEGMENTS[:2, :2] = 7


def panoptic(root: Path) -> dict[str, Any]:
    images, maps = root / "val2017", root / "annotations/panoptic_val2017"
    images.mkdir(parents=True)
    maps.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(images / "000000000139.jpg")
    save_segments(SEGMENTS, maps / "000000000139.png")
    plain = {
        "images": [{"id": 139, "file_name": "000000000139.jpg", "height": 6, "width": 8}],
        "categories": [
            {"id": 189, "name": "table-merged", "isthing": 0, "supercategory": "furniture"},
            {"id": 1, "name": "person", "isthing": 1, "supercategory": "person"},
        ],
        "annotations": [
            {
                "image_id": 139,
                "file_name": "000000000139.png",
                "segments_info": [
                    {"id": 3_226_956, "category_id": 1, "iscrowd": 0},
                    {"id": 7, "category_id": 189, "iscrowd": 0},
                ],
            }
        ],
    }
    write(root, plain)
    return plain


def write(root: Path, plain: dict[str, Any]) -> None:
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(plain))


def save_segments(ids: np.ndarray, path: Path) -> None:
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    Image.fromarray(rgb).save(path)


def test_panoptic(tmp_path: Path) -> None:
    panoptic(tmp_path)
    source = open_concepts(f"coco-panoptic:{tmp_path}")
    assert isinstance(source, CocoPanoptic)
    assert [(c.name, c.category, c.number) for c in source.concepts] == [
        ("person", "thing", 1), ("table-merged", "stuff", 189),
    ]  # fmt: skip
    labels = source.labels(0)
    np.testing.assert_array_equal(
        labels.pixels[0], np.where(SEGMENTS == 7, 2, np.where(SEGMENTS > 0, 1, 0))
    )
    assert (source.name(0), source.image(0).size) == ("000000000139.jpg", (8, 6))
    assert source.check() == []


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("categories", 0, "id"), "x", "no panoptic annotation"),
        (("categories", 0, "id"), 1, "occurs twice"),
        (("categories", 0, "id"), -1, "a category is -1"),
        (("categories", 0, "id"), 10**12, "a category is 1000000000000"),
        (("annotations", 0, "image_id"), 5, "no panoptic annotation"),
        (("images", 0, "file_name"), "../../x.jpg", "outside"),
        (("annotations", 0, "file_name"), "/etc/x.png", "outside"),
        (("annotations",), [], "annotates no image"),
    ],
)
def test_bad_panoptic_annotations(
    tmp_path: Path, place: tuple[Any, ...], value: Any, message: str
) -> None:
    plain: Any = panoptic(tmp_path)
    inner = plain
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    write(tmp_path, plain)
    with pytest.raises(InputError, match=message):
        open_concepts(f"coco-panoptic:{tmp_path}")


def test_segments_and_categories_that_are_not_listed(tmp_path: Path) -> None:
    plain: Any = panoptic(tmp_path)
    path = tmp_path / "annotations/panoptic_val2017/000000000139.png"
    save_segments(SEGMENTS + 1, path)
    with pytest.raises(InputError, match=r"139\.png holds the segment 1, not listed"):
        open_concepts(f"coco-panoptic:{tmp_path}").labels(0)
    save_segments(SEGMENTS, path)
    plain["annotations"][0]["segments_info"][0]["category_id"] = 55
    write(tmp_path, plain)
    with pytest.raises(InputError, match=r"139\.png holds the label 55"):
        open_concepts(f"coco-panoptic:{tmp_path}").labels(0)


def test_panoptic_maps_of_another_kind_or_size(tmp_path: Path) -> None:
    panoptic(tmp_path)
    source = open_concepts(f"coco-panoptic:{tmp_path}")
    path = tmp_path / "annotations/panoptic_val2017/000000000139.png"
    save_segments(SEGMENTS[:5], path)
    with pytest.raises(InputError, match=r"139\.png is 5 × 8, and 000000000139\.jpg 6 × 8"):
        source.labels(0)
    Image.new("L", (8, 6)).save(path)
    with pytest.raises(InputError, match="no RGB picture"):
        source.labels(0)


def test_panoptic_files_that_are_missing(tmp_path: Path) -> None:
    panoptic(tmp_path)
    source = open_concepts(f"coco-panoptic:{tmp_path}")
    (tmp_path / "val2017/000000000139.jpg").unlink()
    assert "139.jpg does not exist" in source.check()[0]
    with pytest.raises(InputError, match="does not exist"):
        open_concepts(f"coco-panoptic:{tmp_path}?split=train2017")


VALUES = np.array([[0, 91, 255], [90, 0, 181]], dtype=np.uint8)


def stuff(root: Path) -> Path:
    (root / "val2017").mkdir()
    (root / "stuffthingmaps/val2017").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(root / "val2017/000000000285.jpg")
    Image.fromarray(VALUES).save(root / "stuffthingmaps/val2017/000000000285.png")
    (root / "labels.txt").write_text(
        "0: unlabeled\n1: person\n91: hair brush\n92: banner\n182: wood\n"
    )
    return root


def test_stuff(tmp_path: Path) -> None:
    source = open_concepts(f"coco-stuff:{stuff(tmp_path)}")
    assert isinstance(source, CocoStuff)
    names = ["", *(f"{c.name} ({c.category})" for c in source.concepts)]
    assert [[names[code] for code in row] for row in source.labels(0).pixels[0]] == [
        ["person (thing)", "banner (stuff)", ""],
        ["hair brush (thing)", "person (thing)", "wood (stuff)"],
    ]
    assert source.check() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("person\n", "a number, a colon"), ("0: unlabeled\n", "names no labels"),
     ("300: x\n", "names no labels"), ("1: person\n1: car\n", "label 1 twice")],
)  # fmt: skip
def test_bad_stuff_labels(tmp_path: Path, text: str, message: str) -> None:
    (stuff(tmp_path) / "labels.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        open_concepts(f"coco-stuff:{tmp_path}")


def test_stuff_labels_that_count_as_the_pixels_do(tmp_path: Path) -> None:
    wanted = open_concepts(f"coco-stuff:{stuff(tmp_path)}")
    (tmp_path / "labels.txt").write_text(
        "0: person\n90: hair brush\n91: banner\n181: wood\n255: unlabeled\n"
    )
    found = open_concepts(f"coco-stuff:{tmp_path}")
    assert found.concepts == wanted.concepts
    np.testing.assert_array_equal(found.labels(0).pixels, wanted.labels(0).pixels)


def test_stuff_maps_of_another_size(tmp_path: Path) -> None:
    source = open_concepts(f"coco-stuff:{stuff(tmp_path)}")
    path = tmp_path / "stuffthingmaps/val2017/000000000285.png"
    Image.fromarray(VALUES[:, :2]).save(path)
    with pytest.raises(InputError, match=r"285\.png is 2 × 2, and 000000000285\.jpg 2 × 3"):
        source.labels(0)


def test_bad_stuff_maps(tmp_path: Path) -> None:
    source = open_concepts(f"coco-stuff:{stuff(tmp_path)}")
    path = tmp_path / "stuffthingmaps/val2017/000000000285.png"
    Image.fromarray(np.full((2, 3), 40, dtype=np.uint8)).save(path)
    with pytest.raises(InputError, match=r"285\.png holds the label 41"):
        source.labels(0)
    path.unlink()
    assert "285.png does not exist" in source.check()[0]
