"""Drawing over a finished image: words and icons of faces, with their masks, and blur."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from milannotations.errors import InputError, did_you_mean

Mask = NDArray[np.bool_]
Colour = tuple[int, int, int]

# Fonts that come with matplotlib, so that images are the same on every machine.
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono")
POSITIONS = ("random", "top left", "top right", "bottom left", "bottom right", "centre")
SKINS: tuple[Colour, ...] = (
    (255, 224, 196),
    (241, 194, 150),
    (224, 172, 116),
    (198, 134, 86),
    (141, 85, 46),
    (92, 56, 34),
)
_HAIRS: tuple[Colour, ...] = (
    (32, 26, 24),
    (84, 52, 28),
    (150, 96, 44),
    (222, 186, 96),
    (176, 174, 172),
    (168, 70, 34),
)
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_FINE = 4  # supersampling of faces
_LEAST = 4  # least height of letters, in pixels
_LINES = 12  # greatest number of lines of a long text


def draw_text(
    image: Image.Image,
    text: str,
    rng: np.random.Generator,
    *,
    position: str = "random",
    height: float = 0.13,
    font: str = "DejaVuSans-Bold",
    colours: tuple[Colour, Colour | None] | None = None,
) -> tuple[Image.Image, Mask]:
    """Draw a text over an image, on a box of contrasting colour or with an outline.

    Underscores become spaces. A text too wide for the image is broken into lines and made smaller.
    The fonts cover Latin, Greek, Cyrillic, Arabic, Hebrew and more; characters that they lack, such
    as Chinese ones, appear as empty frames.

    Args:
        image: RGB image, at least 16 × 16.
        text: The text.
        rng: Chooses the position and the colours if they are not given.
        position: One of ``POSITIONS``.
        height: Height of the letters as a share of the image's shorter side, above 0 and at most 1.
        font: One of ``FONTS``.
        colours: Colours of the letters and of the box; if the box is None, the letters get a white
            or black outline. Default black on white or white on black, at random.

    Returns:
        A new image, and the mask of the box around the text, bool (height, width). Nothing outside
        the mask has changed; a coloured box covers everything inside it except the letters.

    Raises:
        InputError: If the text is empty, the image is too small, or an option is unknown.
    """
    words = " ".join(text.replace("_", " ").split())
    if not words:
        raise InputError(f"text {text!r} to draw has no letters")
    if position not in POSITIONS:
        raise InputError(f"position {position!r} of a text{did_you_mean(position, POSITIONS)}")
    if not 0 < height <= 1:
        raise InputError(f"height of the text is {height}; it must be above 0 and at most 1")
    width, tall = image.size
    if min(width, tall) < 16:
        raise InputError(f"an image of {width} × {tall} is too small for a text; take 16 or more")
    if colours is None:
        colours = (_BLACK, _WHITE) if rng.random() < 0.5 else (_WHITE, _BLACK)
    letters, box = colours
    pad = max(1, round(0.015 * min(width, tall)))
    wanted = max(_LEAST, round(height * min(width, tall)))
    stencil = _fitted(words, font, wanted, (width - 2 * pad, tall - 2 * pad))
    wide, high = stencil.width + 2 * pad, stencil.height + 2 * pad
    left, top = _corner(position, (width - wide, tall - high), rng)
    drawn = image.convert("RGB").copy()
    if box is not None:
        drawn.paste(box, (left, top, left + wide, top + high))
    else:
        around = Image.new("L", (wide, high))
        around.paste(stencil, (pad, pad))
        around = around.filter(ImageFilter.MaxFilter(2 * min(pad, 3) + 1))
        drawn.paste(_WHITE if sum(letters) < 384 else _BLACK, (left, top), mask=around)
    drawn.paste(letters, (left + pad, top + pad), mask=stencil)
    return drawn, _rectangle((tall, width), left, top, wide, high)


def draw_face(
    image: Image.Image,
    rng: np.random.Generator,
    *,
    radius: tuple[float, float] = (0.1, 0.18),
    centre: tuple[float, float] | None = None,
    skins: Sequence[Colour] = SKINS,
    blank: bool = False,
) -> tuple[Image.Image, Mask]:
    """Draw an icon of a face over an image: a head with hair, eyes, nose and a smiling mouth.

    Skin, hair, size and a small turn are chosen at random.

    Args:
        image: RGB image.
        rng: Chooses everything that is not given.
        radius: Least and greatest radius of the head, as shares of the image's shorter side.
        centre: Column and row of the head's centre in pixels; by default random, with the whole
            head visible.
        skins: Skin colours to choose from.
        blank: Draw a plain ball of the same colours, without eyes, nose, mouth and hair.

    Returns:
        A new image, and the mask of the head with its hair, bool (height, width). Nothing outside
        the mask has changed.

    Raises:
        InputError: If the radii are not above 0, at most 0.4, and in order.
    """
    least, greatest = radius
    if not 0 < least <= greatest <= 0.4:
        raise InputError(f"radius of a face {radius}; give two shares in order, at most 0.4")
    width, height = image.size
    r = max(3.0, float(rng.uniform(least, greatest)) * min(width, height))
    margin = 1.25 * r  # hair and ears
    x, y = centre or (
        float(rng.uniform(margin, width - margin)),
        float(rng.uniform(margin, height - margin)),
    )
    skin = skins[int(rng.integers(len(skins)))]
    hair = _HAIRS[int(rng.integers(len(_HAIRS)))]
    turn = float(rng.uniform(-18, 18))
    side = 2 * int(np.ceil(margin)) + 2
    icon = _icon(side * _FINE, r * _FINE, skin, None if blank else hair, int(rng.integers(3)))
    icon = icon.rotate(turn, Image.Resampling.BICUBIC).resize((side, side), Image.Resampling.BOX)
    left, top = round(x) - side // 2, round(y) - side // 2
    layer = Image.new("RGBA", image.size)
    layer.paste(icon, (left, top))
    drawn = image.convert("RGB").copy()
    alpha = layer.getchannel("A")
    drawn.paste(layer.convert("RGB"), mask=alpha)
    return drawn, np.asarray(alpha) > 0


def blur(image: Image.Image, mask: Mask, radius: float | None = None) -> Image.Image:
    """Blur what a mask covers, as in the version of ImageNet with blurred faces.

    Yang et al., "A Study of Face Obfuscation in ImageNet" (ICML 2022), blur in proportion to the
    diagonal of the largest face, with a soft border; here the border is hard, so that nothing
    outside the mask changes.

    Args:
        image: RGB image.
        mask: Bool (height, width).
        radius: Standard deviation of the Gaussian in pixels; default a tenth of the longest
            bounding-box diagonal among the mask's connected parts, and at least 1.

    Returns:
        A new image; a copy if the mask is empty.

    Raises:
        InputError: If the mask has another size than the image, or the radius is not above 0.
    """
    if mask.shape != (image.height, image.width):
        raise InputError(
            f"mask of shape {mask.shape} for an image of height {image.height} and width "
            f"{image.width}"
        )
    if radius is not None and radius <= 0:
        raise InputError(f"radius of the blur is {radius}; it must be above 0")
    blurred = image.convert("RGB").copy()
    if not mask.any():
        return blurred
    if radius is None:
        radius = max(1.0, 0.1 * _largest_diagonal(mask))
    soft = blurred.filter(ImageFilter.GaussianBlur(radius))
    blurred.paste(soft, mask=Image.fromarray(mask))
    return blurred


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name not in FONTS:
        raise InputError(f"font {name!r}{did_you_mean(name, FONTS)}; choose of {', '.join(FONTS)}")
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size)


def _fitted(words: str, font: str, wanted: int, room: tuple[int, int]) -> Image.Image:
    """Return the letters as an L image that fits into the room, as large as possible."""
    size, broken = 0.0, words
    for lines in range(1, _LINES + 1):
        rows = _broken(words, lines)
        stencil = _letters(rows, font, wanted)
        scale = min(1.0, room[0] / stencil.width, room[1] / stencil.height)
        if wanted * scale > 1.25 * size:  # few lines, unless more make the text more legible
            size, broken = wanted * scale, rows
        if scale == 1:
            break
    stencil = _letters(broken, font, max(_LEAST, int(size)))
    scale = min(1.0, room[0] / stencil.width, room[1] / stencil.height)
    if scale == 1:
        return stencil
    # Even the smallest letters are too wide, or their size was rounded up.
    to = (max(1, int(stencil.width * scale)), max(1, int(stencil.height * scale)))
    return stencil.resize(to, Image.Resampling.BOX)


def _broken(words: str, lines: int) -> str:
    """Break a text into about this many lines of about equal length.

    >>> _broken("great white shark", 2)
    'great white\\nshark'
    """
    width = -(-len(words) // lines) + 2
    # This also breaks words that are longer than a line.
    return "\n".join(textwrap.wrap(words, width, break_on_hyphens=False))


def _letters(text: str, font: str, size: int) -> Image.Image:
    face = _font(font, size)
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    how: dict[str, Any] = {"font": face, "spacing": max(1, size // 6)}
    left, top, right, bottom = probe.multiline_textbbox((0, 0), text, **how)
    width, height = max(1, int(np.ceil(right - left))), max(1, int(np.ceil(bottom - top)))
    stencil = Image.new("L", (width, height))
    ImageDraw.Draw(stencil).multiline_text((-left, -top), text, fill=255, **how)
    return stencil


def _corner(corner: str, room: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    if corner == "random":
        return int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
    if corner == "centre":
        return room[0] // 2, room[1] // 2
    return room[0] * ("right" in corner), room[1] * ("bottom" in corner)


def _rectangle(shape: tuple[int, int], left: int, top: int, width: int, height: int) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def _icon(side: int, r: float, skin: Colour, hair: Colour | None, cut: int) -> Image.Image:
    """Return a head looking straight ahead, RGBA; if ``hair`` is None, a ball without features."""
    icon = Image.new("RGBA", (side, side), (*skin, 0))
    draw = ImageDraw.Draw(icon)
    c = side / 2

    def oval(x: float, y: float, wide: float, high: float, fill: Any) -> None:
        middle = (c + x * r, c + y * r)
        draw.ellipse(
            (
                middle[0] - wide * r,
                middle[1] - high * r,
                middle[0] + wide * r,
                middle[1] + high * r,
            ),
            fill=fill,
        )

    if hair is None:
        oval(0, 0, 1, 1, skin)
        return icon
    oval(0, -0.12, 1.08, 1.08, hair)
    if cut == 1:  # long hair
        draw.rectangle((c - 1.08 * r, c - 0.1 * r, c + 1.08 * r, c + 0.8 * r), fill=hair)
    oval(0, 0.08, 0.92, 0.98, skin)
    if cut == 2:  # a fringe
        draw.chord((c - 0.95 * r, c - 1.0 * r, c + 0.95 * r, c + 0.5 * r), 200, 340, fill=hair)
    dark = (40, 24, 20)
    for x in (-0.36, 0.36):
        oval(x, -0.08, 0.2, 0.15, _WHITE)
        oval(x, -0.08, 0.1, 0.13, dark)
        draw.line(
            ((c + (x - 0.2) * r, c - 0.32 * r), (c + (x + 0.2) * r, c - 0.32 * r)),
            fill=dark,
            width=max(1, round(0.09 * r)),
        )
    oval(0, 0.2, 0.1, 0.14, tuple(int(0.75 * v) for v in skin))
    draw.chord((c - 0.45 * r, c + 0.1 * r, c + 0.45 * r, c + 0.78 * r), 15, 165, fill=(178, 34, 44))
    draw.chord((c - 0.3 * r, c + 0.34 * r, c + 0.3 * r, c + 0.64 * r), 15, 165, fill=_WHITE)
    return icon


def _largest_diagonal(mask: Mask) -> float:
    parts = ndimage.find_objects(ndimage.label(mask)[0])
    return max(float(np.hypot(*(s.stop - s.start for s in slices))) for slices in parts)
