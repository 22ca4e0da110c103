"""Converts any kind of pixel to 8-bit RGB.

Every reader follows the same rules:

- 8 bits per channel, one bit, and palettes: like Pillow's ``convert("RGB")``, and thus like
  torchvision's default loader. Transparency is dropped, not composited; CMYK, YCbCr and L*a*b* are
  converted; ICC profiles and the EXIF orientation are not applied.
- 16-bit (and 12-bit) greyscale: the whole declared range, 0 to 65,535 (4,095), becomes 0 to 255,
  rounded. Pillow's own conversion clips everything above 255 to white. For 16-bit RGB, Pillow keeps
  the upper byte of each sample.
- Floating-point greyscale: 0 to 1 becomes 0 to 255; any other value is refused.
- Signed and 32-bit integers are refused: files do not say which of their values are black and
  white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
_SIGNED = 2  # a value of the tag SampleFormat
_WHITE_IS_ZERO = 0  # a value of the tag PhotometricInterpretation
# Rounding errors may put a value this far outside [0, 1].
_SLACK = 1e-4
_ROWS = 64
_ADVICE = "save it with 8 or 16 bits per channel"


class PictureError(ValueError):
    """Why a picture cannot be used, as a phrase to which the caller adds the picture's name."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture as a new 8-bit RGB image of the same size.

    Args:
        image: An image of any mode. The declarations in its file are used if it was just opened.

    Raises:
        PictureError: If the range of its pixels is not declared, or a value is outside it.
    """
    check_mode(image)
    if image.mode.startswith("I;16"):
        return _grey(image, _highest(image))
    if image.mode == "I":
        return _grey(image, 65_535)
    if image.mode == "F":
        return _grey(image, 1)
    return image.convert("RGB")


def check_mode(image: Image.Image) -> None:
    """Raise PictureError if it is clear without decoding that ``to_rgb`` would refuse a picture."""
    if _SIGNED in _tag(image, _SAMPLE_FORMAT):
        raise PictureError(f"it has signed integers, which no range is declared for; {_ADVICE}")
    # Pillow opens PGM files of up to 16 bits as I, scaled to 65,535, and older versions PNG too.
    if image.mode == "I" and image.format not in ("PPM", "PNG"):
        raise PictureError(f"it has 32-bit integers, which no range is declared for; {_ADVICE}")


def _grey(image: Image.Image, highest: int) -> Image.Image:
    values: NDArray[Any] = np.asarray(image)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    slack = _SLACK if image.mode == "F" else 0
    if not (-slack <= low and high <= highest + slack):  # also true if one is NaN
        raise PictureError(
            f"it has values from {low:g} to {high:g}, and only 0 to {highest} can be read; scale "
            f"them, or {_ADVICE}"
        )
    # Pillow inverts 8-bit pictures only.
    black, white = (highest, 0) if _WHITE_IS_ZERO in _tag(image, _PHOTOMETRIC) else (0, highest)
    scaled = np.empty(values.shape, dtype=np.uint8)
    for first in range(0, len(values), _ROWS):  # so that a large picture is not held in float64
        rows = values[first : first + _ROWS].astype(np.float64)
        shares = ((rows - black) / (white - black)).clip(0, 1)
        scaled[first : first + _ROWS] = np.rint(shares * 255)
    return Image.fromarray(scaled).convert("RGB")


def _highest(image: Image.Image) -> int:
    bits = _tag(image, _BITS)
    return 2 ** int(bits[0]) - 1 if bits and 8 < int(bits[0]) <= 16 else 65_535


def _tag(image: Image.Image, tag: int) -> tuple[Any, ...]:
    tags = getattr(image, "tag_v2", None)
    value = tags.get(tag, ()) if tags is not None else ()
    return value if isinstance(value, tuple) else (value,)
