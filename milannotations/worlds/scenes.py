"""Scenes: seeded arrangements of shapes, rendered with exact knowledge of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from milannotations.errors import InputError, did_you_mean

SIZE = 224
_SUPERSAMPLING = 2

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS = {
    "red": (214, 40, 40),
    "green": (46, 140, 60),
    "blue": (38, 84, 200),
    "yellow": (245, 208, 40),
    "orange": (240, 126, 22),
    "purple": (122, 52, 168),
    "pink": (242, 138, 186),
    "brown": (116, 70, 36),
}
TEXTURES = ("solid", "striped", "dotted", "checkered")
SIZES = ("small", "large")
BACKGROUNDS = ("plain", "gradient", "speckled", "grid")
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "texture": TEXTURES,
    "size": SIZES,
}
_RADII = {"small": (15, 21), "large": (36, 48)}
_GROUNDS = ((226, 228, 230), (205, 214, 220), (222, 216, 204), (70, 76, 86), (188, 204, 196))


@dataclass(frozen=True)
class Object:
    """One object of a scene.

    Attributes:
        shape: One of ``SHAPES``.
        colour: One of ``COLOURS``.
        texture: One of ``TEXTURES``.
        size: ``small`` or ``large``: the object's label; ``radius`` is the size that is drawn.
        x: Column of the centre in pixels from the left.
        y: Row of the centre in pixels from the top.
        radius: Half the side of the square that contains the shape, in pixels.
    """

    shape: str
    colour: str
    texture: str
    size: str
    x: float
    y: float
    radius: float

    def __post_init__(self) -> None:
        for kind, values in ATTRIBUTES.items():
            value = getattr(self, kind)
            if value not in values:
                raise InputError(f"{kind} {value!r} is unknown{did_you_mean(value, values)}")
        if self.radius <= 0:
            raise InputError(f"radius is {self.radius}; it must be above 0")


@dataclass(frozen=True)
class Scene:
    """A rendered scene and its ground truth.

    Attributes:
        objects: All objects; later ones are in front.
        image: RGB image of 224 × 224.
        owner: Index of the object visible at each pixel, -1 for the background; int8 (224, 224).
        background: One of ``BACKGROUNDS``.
    """

    objects: tuple[Object, ...]
    image: Image.Image
    owner: NDArray[np.int8]
    background: str = "plain"

    def mask_of(self, selected: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the visible pixels of the selected objects, bool (224, 224)."""
        # The last entry stands for index -1, the background.
        return np.append(selected, False)[self.owner]


def arrange(seed: int, index: int) -> tuple[Object, ...]:
    """Place four to seven objects at random; the same seed and index give the same objects.

    A small object is often placed inside a large one, so that containment is not rare. Otherwise
    objects hardly overlap.
    """
    rng = np.random.default_rng((seed, index))
    objects: list[Object] = []
    wanted = int(rng.integers(4, 8))
    for _ in range(40):
        if len(objects) == wanted:
            break
        size = "large" if rng.random() < 0.4 else "small"
        radius = float(rng.uniform(*_RADII[size]))
        hosts = [o for o in objects if _can_hold(o, objects)]
        if size == "small" and hosts and rng.random() < 0.7:
            host = hosts[int(rng.integers(len(hosts)))]
            radius = min(radius, host.radius * 0.42)
            x, y = host.x, host.y + (0.2 * host.radius if host.shape == "triangle" else 0)
        else:
            x, y = rng.uniform(radius + 2, SIZE - radius - 2, size=2)
            if any(np.hypot(x - o.x, y - o.y) < 0.9 * (radius + o.radius) for o in objects):
                continue
        colours = [c for c in COLOURS if not any(_near(o, x, y) and o.colour == c for o in objects)]
        objects.append(
            Object(
                shape=str(rng.choice(SHAPES)),
                colour=str(rng.choice(colours)),
                texture=str(rng.choice(TEXTURES)),
                size=size,
                x=float(x),
                y=float(y),
                radius=radius,
            )
        )
    return tuple(objects)


def render(
    objects: Sequence[Object], background: str = "plain", rng: np.random.Generator | None = None
) -> Scene:
    """Draw objects, later ones in front.

    Args:
        objects: At most 100 objects.
        background: One of ``BACKGROUNDS``.
        rng: Chooses the background's colour and specks; default a generator with seed 0.

    Raises:
        InputError: If the background is unknown or there are too many objects.
    """
    if background not in BACKGROUNDS:
        hint = did_you_mean(background, BACKGROUNDS)
        raise InputError(f"background {background!r} is unknown{hint}")
    if len(objects) > 100:
        raise InputError(f"{len(objects)} objects; a scene has at most 100")
    fine = SIZE * _SUPERSAMPLING
    canvas = _background(background, rng or np.random.default_rng(0), fine)
    owner = Image.new("I", (fine, fine), -1)
    for index, item in enumerate(objects):
        stencil = _stencil(item, fine)
        owner.paste(index, mask=stencil)
        canvas.paste(_paint(item, fine), mask=stencil)
    image = canvas.resize((SIZE, SIZE), Image.Resampling.BOX)
    # A pixel belongs to the object in its upper left quarter: a fixed point, hence exact.
    owned = np.asarray(owner)[::_SUPERSAMPLING, ::_SUPERSAMPLING].astype(np.int8)
    return Scene(tuple(objects), image, owned, background)


def make_scene(seed: int, index: int) -> Scene:
    """Arrange and render scene ``index`` of the world ``seed``."""
    rng = np.random.default_rng((seed, index, 1))
    return render(arrange(seed, index), str(rng.choice(BACKGROUNDS)), rng)


def _can_hold(host: Object, objects: Sequence[Object]) -> bool:
    # Rings and crosses are not filled, and the inside of a star is narrow.
    if host.size != "large" or host.shape not in ("circle", "square", "triangle"):
        return False
    return not any(o is not host and _near(host, o.x, o.y) for o in objects)


def _near(item: Object, x: float, y: float) -> bool:
    return bool(np.hypot(x - item.x, y - item.y) < item.radius)


def _stencil(item: Object, fine: int) -> Image.Image:
    """Return the shape's pixels as a one-bit image."""
    stencil = Image.new("1", (fine, fine))
    draw = ImageDraw.Draw(stencil)
    x, y, r = (value * _SUPERSAMPLING for value in (item.x, item.y, item.radius))

    def points(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + r * dx, y + r * dy) for dx, dy in pairs]

    if item.shape in ("circle", "ring"):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=1)
        if item.shape == "ring":
            hole = 0.58 * r
            draw.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    elif item.shape == "square":
        draw.rectangle((x - 0.86 * r, y - 0.86 * r, x + 0.86 * r, y + 0.86 * r), fill=1)
    elif item.shape == "triangle":
        draw.polygon(points((0, -1), (0.95, 0.8), (-0.95, 0.8)), fill=1)
    elif item.shape == "cross":
        draw.rectangle((x - 0.32 * r, y - r, x + 0.32 * r, y + r), fill=1)
        draw.rectangle((x - r, y - 0.32 * r, x + r, y + 0.32 * r), fill=1)
    else:
        angles = -np.pi / 2 + np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
        draw.polygon(
            points(*zip(reach * np.cos(angles), reach * np.sin(angles), strict=True)), fill=1
        )
    return stencil


def _paint(item: Object, fine: int) -> Image.Image:
    """Return a canvas in the object's colour and texture; only its stencil is used."""
    colour = COLOURS[item.colour]
    canvas = Image.new("RGB", (fine, fine), colour)
    if item.texture == "solid":
        return canvas
    left, top = (max(0, int((c - item.radius) * _SUPERSAMPLING)) for c in (item.x, item.y))
    side = int(2 * item.radius * _SUPERSAMPLING) + 2
    rows, columns = np.mgrid[0:side, 0:side]
    period = 12 if item.size == "small" else 20
    if item.texture == "striped":
        marks = (rows + columns) % period < period / 2
    elif item.texture == "dotted":
        middle = period / 2
        marks = np.hypot(rows % period - middle, columns % period - middle) < 0.3 * period
    else:
        marks = (rows // (period / 2) + columns // (period / 2)) % 2 == 0
    pale = tuple(round(0.25 * c + 0.75 * 255) for c in colour)
    canvas.paste(pale, (left, top), mask=Image.fromarray(marks))
    return canvas


def _background(kind: str, rng: np.random.Generator, fine: int) -> Image.Image:
    base = np.array(_GROUNDS[int(rng.integers(len(_GROUNDS)))], dtype=np.float64)
    picture = np.broadcast_to(base, (fine, fine, 3)).copy()
    if kind == "gradient":
        picture *= np.linspace(0.8, 1.1, fine)[:, None, None]
    elif kind == "speckled":
        small = rng.normal(0, 12, (fine // 4, fine // 4))
        picture += small.repeat(4, 0).repeat(4, 1)[..., None]
    elif kind == "grid":
        lines = np.arange(fine) % 56 < 2
        picture[lines[:, None] | lines] *= 0.88
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))
