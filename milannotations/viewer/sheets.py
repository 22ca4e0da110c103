"""Contact sheets: a neuron's exemplars as one picture, and its masks as an overlay."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PILImage
from PIL import ImageOps

from milannotations.pictures import to_rgb
from milannotations.record import image_grid

OPACITY = 0.75  # how much of an exemplar is hidden outside its mask, as in `masked_image`
JPEG_QUALITY = 72  # at which a sheet of photographs takes about three kilobytes per tile
SHADES = 4  # grey levels of a mask: two bits per pixel are enough for a smooth edge


@dataclass(frozen=True)
class DrawnSheet:
    """A neuron's exemplars as one picture, and an overlay that darkens them outside the masks.

    Together they show what ``masked_image`` makes of every exemplar. A second JPEG of the masked
    exemplars would take twenty times the bytes of the overlay.

    Attributes:
        image: A JPEG of ``rows`` × ``columns`` tiles; None without images.
        overlay: A PNG of the same size: transparent where the neuron is active, black at an
            opacity of 0.75 elsewhere; None without masks.
        columns: Tiles per row.
        rows: Number of rows; unused tiles of the last row are white and not darkened.
        count: Number of tiles that show an exemplar.
    """

    image: bytes | None
    overlay: bytes | None
    columns: int
    rows: int
    count: int


def draw_sheet(
    images: Sequence[PILImage.Image], masks: Sequence[PILImage.Image], columns: int, tile: int
) -> DrawnSheet:
    """Draw exemplars and masks in order, row by row.

    Args:
        images: k images of any size, or none; images that are not square are cropped to the centre.
        masks: k masks, white where the neuron is active, or none.
        columns: Tiles per row, at least 1.
        tile: Side of a tile in pixels.

    Raises:
        ValueError: If there are neither images nor masks, or their numbers differ.
    """
    count = max(len(images), len(masks))
    if not count or (images and masks and len(images) != len(masks)):
        raise ValueError(f"{len(images)} images and {len(masks)} masks make no sheet")
    side = (tile, tile)
    photos = [ImageOps.fit(to_rgb(image), side) for image in images]
    shapes = [ImageOps.fit(mask.convert("L"), side) for mask in masks]
    return DrawnSheet(
        image=_jpeg(image_grid(photos, columns, gap=0)) if photos else None,
        overlay=_overlay(image_grid(shapes, columns, gap=0).convert("L")) if shapes else None,
        columns=min(columns, count),
        rows=math.ceil(count / columns),
        count=count,
    )


def data_uri(picture: bytes, media_type: str) -> str:
    """Return a picture as a data URI, for pages that must be a single file."""
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


def _jpeg(image: PILImage.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return buffer.getvalue()


def _overlay(mask: PILImage.Image) -> bytes:
    """Turn a mask (white: active) into a black overlay: transparent where the mask is white."""
    top = SHADES - 1
    indices = mask.point([round(value / 255 * top) for value in range(256)])
    overlay = PILImage.frombytes("P", indices.size, indices.tobytes())
    overlay.putpalette([0] * 3 * SHADES)
    alphas = bytes(round(255 * OPACITY * (1 - level / top)) for level in range(SHADES))
    buffer = io.BytesIO()
    overlay.save(buffer, "png", transparency=alphas, bits=2, optimize=True)
    return buffer.getvalue()
