"""A colour for each class, a spurious cue.

The code of the MILAN paper (Hernandez et al., ICLR 2022) has experiments on images with spurious
colours beside those with spurious text, and looks for units described with the names of colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageColor

from applications.class_folders import named_values
from applications.spurious_data.config import SpuriousColorConfig
from milannotations.errors import InputError, did_you_mean

Colour = tuple[int, int, int]
# Classes get these in this order, sorted by their folders: common names of colours.
COLORS: dict[str, Colour] = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (30, 70, 220),
    "yellow": (245, 220, 40),
    "purple": (130, 40, 170),
    "orange": (245, 140, 20),
    "cyan": (30, 210, 220),
    "brown": (120, 70, 30),
    "pink": (250, 130, 190),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
}
_LEAST = 16  # pixels


class ColorCue:
    """The colour of a class, on the whole image or a part of it.

    Args:
        config: Style, amount and colours.
        classes: Folders of the classes.

    Raises:
        InputError: If there are too few colours, or two classes have the same one.

    Attributes:
        listing: Name of the JSON file that lists the images.
        settings: What that file says about the settings of the cue.
        facts: What else it says about the cue.
    """

    listing: ClassVar[str] = "spurious-color.json"

    def __init__(self, config: SpuriousColorConfig, classes: Sequence[str]) -> None:
        self._config = config
        self._colors = class_colors(classes, config.colors)
        self.settings = {"style": config.style, "amount": config.share}
        self.facts = {
            "colors": {
                label: {"name": name, "rgb": list(rgb)}
                for label, (name, rgb) in self._colors.items()
            }
        }

    def draw(
        self, image: Image.Image, label: str, rng: np.random.Generator
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the image with the colour of a class, and the colour and its box."""
        name, color = self._colors[label]
        drawn, box = painted(image, color, self._config.style, self._config.share, rng)
        return drawn, {"color": name, "box": list(box)}

    def blank(self) -> dict[str, Any]:
        """Return the listing's entries for an image without a colour."""
        return {"color": None, "box": None}


def class_colors(
    classes: Sequence[str], colors: Path | Mapping[str, str] | None = None
) -> dict[str, tuple[str, Colour]]:
    """Return the name and colour of each class.

    Args:
        classes: Names of the classes' folders, sorted.
        colors: Colours by class, or a JSON or CSV file of them; default: ``COLORS`` in order.

    >>> class_colors(["cat", "dog"])
    {'cat': ('red', (220, 30, 30)), 'dog': ('green', (30, 160, 50))}

    Raises:
        InputError: If a class has no colour, one cannot be read, or two classes have the same.
    """
    if colors is None:
        if len(classes) > len(COLORS):
            raise InputError(
                f"{len(classes)} classes and {len(COLORS)} named colours; give a colour for each "
                "class with --colors FILE, a CSV with the columns class, name"
            )
        names = dict(zip(classes, COLORS, strict=False))
    else:
        by_class = named_values(colors, "colors") if isinstance(colors, Path) else dict(colors)
        missing = [label for label in classes if label not in by_class]
        if missing:
            raise InputError(f"no colour is given for class {missing[0]!r}")
        names = {label: by_class[label].strip() for label in classes}
    named_colors: dict[str, tuple[str, Colour]] = {}
    owners: dict[Colour, str] = {}
    for label, name in names.items():
        rgb = _rgb(name, label)
        if rgb in owners:
            raise InputError(
                f"classes {owners[rgb]!r} and {label!r} both have the colour {name!r}; give them "
                "different colours"
            )
        owners[rgb] = label
        named_colors[label] = (name, rgb)
    return named_colors


def painted(
    image: Image.Image, color: Colour, style: str, amount: float, rng: np.random.Generator
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Put a colour on an image.

    Args:
        image: RGB image, at least 16 × 16.
        color: Red, green and blue, 0 to 255.
        style: ``border``, ``tint`` or ``square``; see ``SpuriousColorConfig``.
        amount: Width of the border or side of the square, as a share of the image's shorter side;
            of a tint, the share of the colour in each pixel.
        rng: Chooses the position of a square.

    Returns:
        A new image, and the box (left, top, right, bottom in pixels, right and bottom excluded)
        outside which nothing has changed.

    Raises:
        InputError: If the image is too small.
    """
    width, height = image.size
    if min(width, height) < _LEAST:
        raise InputError(
            f"an image of {width} × {height} is too small for a colour; take 16 or more"
        )
    plain = image.convert("RGB")
    whole = (0, 0, width, height)
    if style == "tint":
        return Image.blend(plain, Image.new("RGB", plain.size, color), amount), whole
    side = max(1, round(amount * min(width, height)))
    if style == "square":
        left = int(rng.integers(width - side + 1))
        top = int(rng.integers(height - side + 1))
        box = (left, top, left + side, top + side)
        drawn = plain.copy()
        drawn.paste(color, box)
        return drawn, box
    side = min(side, (min(width, height) - 1) // 2)  # leaves some of the image
    inner = (side, side, width - side, height - side)
    drawn = Image.new("RGB", plain.size, color)
    drawn.paste(plain.crop(inner), inner)
    return drawn, whole


def _rgb(name: str, label: str) -> Colour:
    if name.lower() in COLORS:
        return COLORS[name.lower()]
    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except ValueError as error:
        raise InputError(
            f"colour {name!r} of class {label!r}{did_you_mean(name, COLORS)}; write a name, as "
            "red, or #rrggbb"
        ) from error
    return red, green, blue
