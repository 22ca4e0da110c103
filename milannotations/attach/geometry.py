"""How a whole picture becomes a square exemplar.

The original exemplars were chosen, and their masks computed, on what the network received: the
picture with its shorter side resized to 256 pixels, and of that the central 224 × 224. People
were shown these crops when they wrote the annotations. ``crop`` reproduces them, so that images
and masks are aligned and show what was described.

The original code that later combines released masks with the user's ImageNet does something else:
it resizes the whole picture to 224 × 224, whatever its shape, so that the masks of pictures that
are not square are misaligned. ``squash`` does the same, to reproduce numbers that were computed
with that code.

Both resize 8-bit RGB pictures bilinearly with Pillow's antialiasing, as torchvision does.
"""

from __future__ import annotations

from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.pictures import to_rgb

GEOMETRIES = ("crop", "squash")
DEFAULT_GEOMETRY = "crop"


def exemplar_view(image: Image.Image, size: tuple[int, int], geometry: str) -> Image.Image:
    """Return a picture as an exemplar of the given size, RGB.

    Args:
        image: A whole picture of any mode and size.
        size: Width and height of the exemplar's mask, in pixels.
        geometry: ``crop`` resizes the shorter side to 256/224 of the exemplar's side, rounded, and
            takes the centre; ``squash`` resizes both sides to the exemplar's.

    Raises:
        InputError: If there is no such geometry, or a crop is not square.
    """
    check_geometry(geometry)
    width, height = size
    if geometry == "squash":
        mode = InterpolationMode.BILINEAR
        return transforms.resize(to_rgb(image), [height, width], interpolation=mode, antialias=True)
    if width != height:
        raise InputError(
            f"a mask is {width} × {height}; the geometry 'crop' is for square ones, use 'squash'"
        )
    # The usual preprocessing of ImageNet: 256 pixels for a crop of 224.
    shorter = round(256 * width / DEFAULT_SIZE)
    return Preprocessing(size=width, resize=shorter).view(image)


def check_geometry(geometry: str) -> None:
    """Raise InputError if there is no such geometry."""
    if geometry not in GEOMETRIES:
        raise InputError(f"geometry {geometry!r}; choose one of {list(GEOMETRIES)}")
