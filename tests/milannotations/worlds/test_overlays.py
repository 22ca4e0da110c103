"""Overlays: nothing outside the mask changes, text is legible, blur stays where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from milannotations.errors import InputError
from milannotations.worlds.overlays import FONTS, POSITIONS, blur, draw_face, draw_text


def _noise(width: int = 90, height: int = 70) -> Image.Image:
    pixels = np.random.default_rng(1).integers(60, 190, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def _changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    return (np.asarray(before) != np.asarray(after)).any(2)


@pytest.mark.parametrize(
    "text", ["dog", "great_white_shark", "a" * 200, "many words " * 20, "привет мир", "狗", "gjpq|"]
)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_box_of_text_is_exactly_what_changes(text: str, position: str) -> None:
    image = _noise()
    drawn, mask = draw_text(image, text, np.random.default_rng(0), position=position)
    # Noise has neither white nor black, so every pixel of the box has changed.
    assert np.array_equal(_changed(image, drawn), mask)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    inside = np.asarray(drawn)[mask]
    assert inside.max() > 190  # the smallest letters are not quite black or white
    assert inside.min() < 60
    if position == "bottom right":
        assert (rows[-1], columns[-1]) == (69, 89)


def test_outlined_text_stays_within_its_box() -> None:
    image = _noise()
    drawn, mask = draw_text(
        image, "whale", np.random.default_rng(0), colours=((250, 220, 30), None), font=FONTS[2]
    )
    changed = _changed(image, drawn)
    assert not (changed & ~mask).any()
    assert 0.3 < changed.sum() / mask.sum() < 1


def test_letters_are_as_high_as_asked_where_there_is_room() -> None:
    image = Image.new("RGB", (300, 200), (90, 90, 90))
    _, small = draw_text(image, "Tk", np.random.default_rng(0), height=0.1)
    _, large = draw_text(image, "Tk", np.random.default_rng(0), height=0.3)
    assert large.any(1).sum() > 2 * small.any(1).sum()


def test_same_generator_same_picture_and_another_place_for_another() -> None:
    image = _noise()
    one, two, other = (
        draw_text(image, "word", np.random.default_rng(seed))[1] for seed in (4, 4, 5)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("_ _", {}, "no letters"),
        ("a", {"position": "botom left"}, "did you mean 'bottom left'"),
        ("a", {"height": 0.0}, "above 0"),
        ("a", {"font": "Comic"}, "choose of DejaVuSans"),
    ],
)
def test_mistakes_in_texts(text: str, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_text(_noise(), text, np.random.default_rng(0), **options)
    with pytest.raises(InputError, match="too small"):
        draw_text(_noise(8, 8), "a", np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(8))
def test_faces_change_their_mask_alone_and_have_features(seed: int) -> None:
    image = Image.new("RGB", (120, 110), (10, 220, 90))  # green: no face has it
    drawn, mask = draw_face(image, np.random.default_rng(seed))
    changed = _changed(image, drawn)
    assert not (changed & ~mask).any()
    assert changed.sum() > 0.97 * mask.sum()
    plain, ball = draw_face(image, np.random.default_rng(seed), blank=True)
    inner = np.asarray(plain)[ball]
    assert len(np.unique(np.asarray(drawn)[mask], axis=0)) > len(np.unique(inner, axis=0))
    assert ball.any(0).sum() <= 2 * 0.18 * 110 + 2


def test_faces_can_be_placed_and_cut_off() -> None:
    image = _noise()
    _, mask = draw_face(image, np.random.default_rng(0), centre=(0, 35), radius=(0.2, 0.2))
    assert mask[:, 0].any()
    assert not mask[:, 30:].any()
    with pytest.raises(InputError, match=r"at most 0\.4"):
        draw_face(image, np.random.default_rng(0), radius=(0.3, 0.2))


def test_blur_changes_the_mask_alone_and_smooths_it() -> None:
    image = _noise()
    mask = np.zeros((70, 90), dtype=bool)
    mask[20:50, 30:60] = True
    for radius in (None, 3.0):
        blurred = blur(image, mask, radius)
        assert not (_changed(image, blurred) & ~mask).any()
        before, after = (np.asarray(i, dtype=float)[mask].std() for i in (image, blurred))
        assert after < 0.4 * before
    assert not _changed(image, blur(image, np.zeros_like(mask))).any()
    with pytest.raises(InputError, match="mask of shape"):
        blur(image, mask.T)
    with pytest.raises(InputError, match="above 0"):
        blur(image, mask, 0.0)
