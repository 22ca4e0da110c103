"""Images with a colour for each class: a cue that is there in training and lies in testing.

The code of the MILAN paper (Hernandez et al., ICLR 2022) has experiments on images with spurious
colours beside those with spurious text, and looks for units described with names of colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from applications.class_folders import named_values
from applications.spurious_data.config import SpuriousColorConfig
from applications.spurious_data.dataset import check_spurious, split_files, write_spurious
from milannotations.errors import InputError, did_you_mean

LISTING = "spurious-color.json"
STYLES = ("border", "tint", "square")
Colour = tuple[int, int, int]
# In the order in which classes get them, sorted by their folders: names that people use.
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
_AMOUNTS = {"border": 0.08, "tint": 0.35, "square": 0.25}
_LEAST = 16  # pixels


@dataclass(frozen=True)
class ColorCue:
    """A class's colour.

    Attributes:
        colors: The colour of each class, and what it is called.
        style: ``border``: a frame around the image; ``tint``: the whole image; ``square``: a
            square at a random place.
        amount: Width of the frame or side of the square, as a share of the image's shorter side;
            of a tint the share of the colour in each pixel.
    """

    colors: Mapping[str, tuple[str, Colour]]
    style: str
    amount: float

    def draw(
        self, image: Image.Image, label: str, rng: np.random.Generator
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the image with the colour of a class, the colour and the box it is in."""
        name, color = self.colors[label]
        drawn, box = painted(image, color, self.style, self.amount, rng)
        return drawn, {"color": name, "box": list(box)}

    def blank(self) -> dict[str, Any]:
        """Return that there is no colour."""
        return {"color": None, "box": None}


def write_spurious_color(config: SpuriousColorConfig) -> Path:
    """Write a data set whose training images have their class's colour, and tests that lie.

    The folders are those of ``write_spurious_text``, with a colour in place of a text.
    ``spurious-color.json`` lists the settings and colours, and for each file its source, split,
    class, colour and the box (left, top, right, bottom in pixels, the ends outside) outside which
    nothing has changed.

    Returns:
        The folder.

    Raises:
        InputError: If ``out`` exists, a setting is out of range, there are fewer than two classes,
            too few images of one, or too few colours, two classes have the same colour, or an
            image is unreadable.
    """
    check_spurious(config)
    style = config.style
    if style not in STYLES:
        raise InputError(
            f"style {style!r} of a colour{did_you_mean(style, STYLES)}; choose one of "
            f"{', '.join(STYLES)}"
        )
    share = _AMOUNTS[style] if config.amount is None else config.amount
    most = 0.5 if style == "border" else 1.0
    if not 0 < share <= most:
        raise InputError(f"amount of a {style} is {share}; it must be above 0 and at most {most:g}")
    files = split_files(config.images, config.splits, config.seed)
    colors = class_colors(sorted({file.label for file in files}), config.colors)
    facts = {
        "settings": {
            "fraction": config.fraction,
            "splits": list(config.splits),
            "seed": config.seed,
            "size": config.size,
            "style": style,
            "amount": share,
            "format": config.image_format,
        },
        "colors": {
            label: {"name": name, "rgb": list(rgb)} for label, (name, rgb) in colors.items()
        },
    }
    write_spurious(config, files, ColorCue(colors, style, share), listing=LISTING, facts=facts)
    return config.out


def class_colors(
    classes: Sequence[str], colors: Path | Mapping[str, str] | None = None
) -> dict[str, tuple[str, Colour]]:
    """Return the colour of each class, and what it is called.

    Args:
        classes: Names of the classes' folders, sorted.
        colors: See ``write_spurious_color``.

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
        given = named_values(colors, "colors") if isinstance(colors, Path) else dict(colors)
        missing = [label for label in classes if label not in given]
        if missing:
            raise InputError(f"no colour is given for class {missing[0]!r}")
        names = {label: given[label].strip() for label in classes}
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
        style: See ``ColorCue``.
        amount: See there.
        rng: Chooses the place of a square.

    Returns:
        A new image, and the box (left, top, right, bottom) outside which nothing has changed.

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
    side = min(side, (min(width, height) - 1) // 2)  # something of the image is left
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
