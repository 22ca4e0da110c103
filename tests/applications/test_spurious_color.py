"""Spurious colours: true in training, absent in tests, a lie in adversarial ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from applications.spurious_data.color_cue import (
    COLORS,
    ColorCue,
    class_colors,
    painted,
)
from applications.spurious_data.config import SHARES, SpuriousColorConfig, SpuriousTextConfig
from applications.spurious_data.dataset import write_spurious_images
from milannotations.errors import InputError

_CLASSES = ("cat", "n01", "polar_bear")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in _CLASSES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(10):
            pixels = rng.integers(60, 190, (40, 56, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


def _listing(out: Path) -> list[dict]:
    files: list[dict] = json.loads((out / ColorCue.listing).read_text())["files"]
    return files


def _all(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_colours_are_true_in_training_and_lie_in_adversarial_images(
    fraction: float, images: Path, tmp_path: Path
) -> None:
    files = _listing(
        write_spurious_images(
            SpuriousColorConfig(images=images, out=tmp_path / "out", fraction=fraction)
        )
    )
    own = dict(zip(_CLASSES, COLORS, strict=False))
    assert own == {"cat": "red", "n01": "green", "polar_bear": "blue"}
    for name in _CLASSES:
        colors = [e["color"] for e in files if e["split"] == "train" and e["class"] == name]
        assert sum(color is not None for color in colors) == round(7 * fraction)
        assert set(colors) <= {None, own[name]}
    for entry in files:
        if entry["split"] in ("validation", "test"):
            assert entry["color"] is None and entry["box"] is None
        if entry["split"].endswith("-adversarial"):
            assert entry["color"] in set(own.values()) - {own[entry["class"]]}
    assert {entry["file"] for entry in files} == set(_all(tmp_path / "out")) - {ColorCue.listing}


@pytest.mark.parametrize("style", tuple(SHARES))
def test_pixels_are_what_the_style_says(style: str, images: Path, tmp_path: Path) -> None:
    out = write_spurious_images(
        SpuriousColorConfig(images=images, out=tmp_path / "out", fraction=1, style=style)
    )
    coloured = [entry for entry in _listing(out) if entry["color"]]
    assert len(coloured) == 21 + 3 + 6
    for entry in coloured:
        before = _pixels(images / entry["source"])
        after = _pixels(out / entry["file"])
        color = np.array(COLORS[entry["color"]])
        left, top, right, bottom = entry["box"]
        if style == "tint":
            assert np.abs(after - (0.65 * before + 0.35 * color)).max() <= 1
            continue
        changed = np.zeros(before.shape[:2], dtype=bool)
        if style == "square":
            assert (right - left, bottom - top) == (10, 10)  # a quarter of 40
            changed[top:bottom, left:right] = True
        else:
            changed[:] = True
            changed[3:-3, 3:-3] = False  # .08 of 40 pixels
        assert (after[changed] == color).all()
        assert (after[~changed] == before[~changed]).all()


def test_which_images_have_the_cue_is_the_same_for_text_and_colour(
    images: Path, tmp_path: Path
) -> None:
    """Both cues are compared on the same images."""
    write_spurious_images(SpuriousTextConfig(images=images, out=tmp_path / "text", seed=4))
    write_spurious_images(SpuriousColorConfig(images=images, out=tmp_path / "color", seed=4))
    text = json.loads((tmp_path / "text" / "spurious-text.json").read_text())["files"]
    color = _listing(tmp_path / "color")
    for one, other in zip(text, color, strict=True):
        assert (one["file"], one["source"]) == (other["file"], other["source"])
        assert (one["text"] is None) == (other["color"] is None)


def test_the_same_seed_gives_the_same_bytes(images: Path, tmp_path: Path) -> None:
    options = {"style": "square", "size": 32}
    first = _all(
        write_spurious_images(
            SpuriousColorConfig(images=images, out=tmp_path / "a", seed=1, **options)
        )
    )
    again = _all(
        write_spurious_images(
            SpuriousColorConfig(images=images, out=tmp_path / "b", seed=1, **options)
        )
    )
    other = _all(
        write_spurious_images(
            SpuriousColorConfig(images=images, out=tmp_path / "c", seed=2, **options)
        )
    )
    assert first == again and first != other
    assert _pixels(next((tmp_path / "a" / "test").rglob("*.png"))).shape == (32, 32, 3)


def test_colours_of_the_users_choice(images: Path, tmp_path: Path) -> None:
    (tmp_path / "colors.csv").write_text("class,name\ncat,cyan\nn01,#102030\npolar_bear,salmon\n")
    colors = tmp_path / "colors.csv"
    config = SpuriousColorConfig(images=images, out=tmp_path / "out", fraction=1, colors=colors)
    out = write_spurious_images(config)
    facts = json.loads((out / ColorCue.listing).read_text())
    assert facts["colors"]["n01"] == {"name": "#102030", "rgb": [16, 32, 48]}
    assert facts["colors"]["polar_bear"]["rgb"] == [250, 128, 114]
    assert facts["settings"]["style"] == "border" and facts["settings"]["amount"] == 0.08
    entry = next(e for e in facts["files"] if e["split"] == "train" and e["class"] == "n01")
    assert _pixels(out / entry["file"])[0, 0].tolist() == [16, 32, 48]


def test_mistakes_are_named_and_leave_nothing(images: Path, tmp_path: Path) -> None:
    def fails(message: str, **options: object) -> None:
        with pytest.raises(InputError, match=message):
            write_spurious_images(
                SpuriousColorConfig(images=images, out=tmp_path / "out", **options)
            )  # type: ignore[arg-type]
        assert not (tmp_path / "out").exists()

    fails("fraction is 2", fraction=2)
    fails("style 'boarder'.*border, tint, square", style="boarder")
    fails("amount of a border is 0.6", amount=0.6)
    fails("amount of a tint is 0", style="tint", amount=0)
    fails("no colour is given for class 'n01'", colors={"cat": "red"})
    fails(
        "'cat' and 'n01' both have the colour",
        colors={"cat": "red", "n01": "RED", "polar_bear": "blue"},
    )
    fails("colour 'rde' of class 'cat'", colors={"cat": "rde", "n01": "red", "polar_bear": "blue"})
    with pytest.raises(InputError, match="13 classes and 12 named colours"):
        class_colors([f"class {number}" for number in range(13)])
    with pytest.raises(InputError, match="too small for a colour"):
        painted(Image.new("RGB", (8, 8)), (0, 0, 0), "tint", 0.3, np.random.default_rng(0))


def test_something_of_the_image_is_left_inside_a_border() -> None:
    plain = Image.new("RGB", (17, 40), (9, 9, 9))
    drawn, box = painted(plain, (255, 0, 0), "border", 0.5, np.random.default_rng(0))
    assert box == (0, 0, 17, 40) and drawn.getpixel((8, 20)) == (9, 9, 9)
