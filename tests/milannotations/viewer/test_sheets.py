"""Tests of contact sheets; that they look like masked images is tested with the leaderboard."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from milannotations.viewer.sheets import data_uri, draw_sheet

PHOTO = Image.new("RGB", (40, 20), "red")
MASK = Image.new("1", (20, 20), 0)


def opened(picture: bytes | None) -> Image.Image:
    assert picture is not None
    return Image.open(io.BytesIO(picture))


def test_what_is_lacking_in_the_last_row_is_white_and_not_darkened() -> None:
    sheet = draw_sheet([PHOTO] * 3, [MASK] * 3, columns=2, tile=16)
    assert (sheet.columns, sheet.rows, sheet.count) == (2, 2, 3)
    image, overlay = opened(sheet.image), opened(sheet.overlay).convert("RGBA")
    assert (image.format, image.size, overlay.size) == ("JPEG", (32, 32), (32, 32))
    corner = np.asarray(image.convert("RGB"))[18:, 18:]
    assert corner.min() > 240
    alpha = np.asarray(overlay)[..., 3]
    assert (alpha[16:, 16:] == 0).all()
    assert (alpha[:16] == 191).all()  # three quarters of 255, where no mask is


def test_masks_or_images_alone() -> None:
    masks = draw_sheet([], [MASK], columns=5, tile=16)
    assert (masks.image, masks.columns, masks.rows) == (None, 1, 1)
    assert opened(masks.overlay).format == "PNG"
    images = draw_sheet([PHOTO], [], columns=5, tile=16)
    assert images.overlay is None
    assert opened(images.image).size == (16, 16)


@pytest.mark.parametrize(("images", "masks"), [(0, 0), (2, 1)])
def test_sheets_of_nothing_or_of_unequal_numbers_are_refused(images: int, masks: int) -> None:
    with pytest.raises(ValueError, match=f"{images} images and {masks} masks"):
        draw_sheet([PHOTO] * images, [MASK] * masks, columns=3, tile=16)


def test_data_uri() -> None:
    assert data_uri(b"\x00\x01", "image/png") == "data:image/png;base64,AAE="
