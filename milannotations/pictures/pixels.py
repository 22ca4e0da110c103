"""From any kind of pixel to 8-bit RGB.

One rule for every reader:

- 8 bits per channel, one bit and palettes: as Pillow's ``convert("RGB")``, and so as torchvision's
  default loader. Transparency is dropped, not laid over a background; CMYK, YCbCr and L*a*b* are
  converted; ICC profiles and the EXIF orientation are not applied.
- 16-bit (and 12-bit) greyscale: the whole declared range, 0 to 65,535 (4,095), becomes 0 to 255,
  rounded. Pillow's own conversion cuts everything above 255 to white. Of 16-bit RGB, Pillow keeps
  the upper byte of each sample.
- Floating-point greyscale: 0 to 1 becomes 0 to 255; any other value is refused.
- Signed and 32-bit integers are refused: no file says which of their values are black and white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF 6.0
_SIGNED = 2  # of the tag SampleFormat
_WHITE_IS_ZERO = 0  # of the tag PhotometricInterpretation
# Arithmetic may leave a value this far outside of [0, 1].
_SLACK = 1e-4
_ROWS = 64
_ADVICE = "save it with 8 or 16 bits per channel"


class PictureError(ValueError):
    """Why a picture cannot be used, as a phrase; whoever knows the picture's name adds it."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture as 8-bit RGB, a new image of the same size.

    Args:
        image: Of any mode. What its file declares is used where it has just been opened.

    Raises:
        PictureError: If the range of its pixels is not declared, or left by a value.
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
    """Raise PictureError if it is known without decoding that ``to_rgb`` refuses a picture."""
    if _SIGNED in _tag(image, _SAMPLE_FORMAT):
        raise PictureError(f"it has signed integers, which no range is declared for; {_ADVICE}")
    # Pillow gives PGM files of up to 16 bits as I, scaled to 65,535; older versions PNG as well.
    if image.mode == "I" and image.format not in ("PPM", "PNG"):
        raise PictureError(f"it has 32-bit integers, which no range is declared for; {_ADVICE}")


def _grey(image: Image.Image, highest: int) -> Image.Image:
    values: NDArray[Any] = np.asarray(image)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    slack = _SLACK if image.mode == "F" else 0
    if not (-slack <= low and high <= highest + slack):  # also where one is NaN
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
