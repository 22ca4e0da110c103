"""Concepts that only the lessons have: things drawn over a scene, light and edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from milannotations.errors import InputError, did_you_mean
from milannotations.worlds.concepts import Mask
from milannotations.worlds.grammar import _BACKGROUNDS as BACKGROUND_WORDS
from milannotations.worlds.grammar import plural
from milannotations.worlds.scenes import BACKGROUNDS, Scene

_OVERLAYS = {
    "text": ("text", "words and letters", "printed letters"),
    "face": ("faces", "smiling faces", "heads and faces of people"),
    "ball": ("plain balls", "skin-colored discs", "round blobs in beige and brown"),
}
_COLOURED = ("{} text", "words in {}", "{} letters")
_LIGHT = {
    "dark": ("dark areas", "black regions", "places in shadow"),
    "bright": ("bright areas", "white regions", "places in bright light"),
}
_EDGES = {
    "horizontal": ("horizontal edges", "horizontal lines", "borders from left to right"),
    "vertical": ("vertical edges", "vertical lines", "borders from top to bottom"),
    "any": ("edges", "lines and contours", "borders of things"),
    "strokes": ("strokes of text", "thin letters", "the outlines of letters"),
}
_STRONG = 25.0  # least change of brightness at an edge, on a scale of 255
_LIMITS = {"dark": 70.0, "bright": 215.0}


@dataclass(frozen=True)
class Drawn:
    """Something drawn over a scene.

    Attributes:
        kind: ``text``, ``face`` or ``ball``.
        mask: Its visible pixels, bool (224, 224); for a text, its box.
        colour: Colour of a text's letters.
    """

    kind: str
    mask: Mask
    colour: str = ""


@dataclass(frozen=True)
class LessonScene(Scene):
    """A scene with things drawn over it; ``owner`` is -1 where they are.

    Attributes:
        drawn: The things drawn over it; their masks do not overlap.
    """

    drawn: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Overlay:
    """Texts, faces or balls drawn over a scene.

    Attributes:
        kind: ``text``, ``face`` or ``ball``.
        colour: Only texts with letters of this colour; empty for any.
    """

    kind: str
    colour: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _OVERLAYS:
            raise InputError(f"overlay {self.kind!r}{did_you_mean(self.kind, _OVERLAYS)}")

    @property
    def key(self) -> str:
        """The colour and the kind."""
        return f"{self.colour} {self.kind}".strip()

    def mask(self, scene: Scene) -> Mask:
        """Return the visible pixels of the matching things."""
        pixels = np.zeros(scene.owner.shape, dtype=bool)
        for shape in _drawn(scene):
            if shape.kind == self.kind and self.colour in ("", shape.colour):
                pixels |= shape.mask
        return pixels


@dataclass(frozen=True)
class Ground:
    """What lies behind the objects and all drawings, in scenes with one kind of background.

    Attributes:
        kind: One of ``BACKGROUNDS``.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in BACKGROUNDS:
            raise InputError(f"background {self.kind!r}{did_you_mean(self.kind, BACKGROUNDS)}")

    @property
    def key(self) -> str:
        """The kind, named as a background."""
        return f"{self.kind} background"

    def mask(self, scene: Scene) -> Mask:
        """Return the pixels that nothing covers; none if the background is of another kind."""
        pixels: Mask = (scene.owner < 0) & (scene.background == self.kind)
        for shape in _drawn(scene):
            pixels = pixels & ~shape.mask
        return pixels


@dataclass(frozen=True)
class Light:
    """Areas that are dark or bright, whatever they show.

    Attributes:
        kind: ``dark`` or ``bright``.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in _LIGHT:
            raise InputError(f"light {self.kind!r}{did_you_mean(self.kind, _LIGHT)}")

    @property
    def key(self) -> str:
        """The kind."""
        return f"{self.kind} areas"

    def mask(self, scene: Scene) -> Mask:
        """Return where the smoothed image is below 70 or above 215 on a scale of 255."""
        grey = ndimage.uniform_filter(_grey(scene), 5)
        pixels: Mask = grey < _LIMITS["dark"] if self.kind == "dark" else grey > _LIMITS["bright"]
        return pixels


@dataclass(frozen=True)
class Edges:
    """Edges in one direction of anything except letters, or the strokes of letters.

    Letters consist of edges: a neuron that only letters activate is described as one for text.

    Attributes:
        kind: ``horizontal``, ``vertical``, ``any`` or ``strokes``.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in _EDGES:
            raise InputError(f"edges {self.kind!r}{did_you_mean(self.kind, _EDGES)}")

    @property
    def key(self) -> str:
        """The kind."""
        return "strokes of text" if self.kind == "strokes" else f"{self.kind} edges"

    def mask(self, scene: Scene) -> Mask:
        """Return where brightness changes strongly.

        For ``horizontal`` and ``vertical`` edges, it must change more than twice as much across
        the edge as along it.
        """
        text = Overlay("text").mask(scene)
        grey = ndimage.gaussian_filter(_grey(scene), 2.0)
        down, right = (np.abs(ndimage.sobel(grey, axis)) / 2 for axis in (0, 1))
        if self.kind == "horizontal":
            pixels: Mask = (down > _STRONG) & (down > 2 * right)
        elif self.kind == "vertical":
            pixels = (right > _STRONG) & (right > 2 * down)
        else:
            pixels = np.hypot(down, right) > _STRONG
        return pixels & (text if self.kind == "strokes" else ~text)


@plural.register
def _(concept: Overlay, style: int) -> str:
    return (
        _COLOURED[style].format(concept.colour)
        if concept.colour
        else (_OVERLAYS[concept.kind][style])
    )


@plural.register
def _(concept: Ground, style: int) -> str:
    return BACKGROUND_WORDS[concept.kind][style]


@plural.register
def _(concept: Light, style: int) -> str:
    return _LIGHT[concept.kind][style]


@plural.register
def _(concept: Edges, style: int) -> str:
    return _EDGES[concept.kind][style]


def _drawn(scene: Scene) -> tuple[Drawn, ...]:
    return scene.drawn if isinstance(scene, LessonScene) else ()


def _grey(scene: Scene) -> NDArray[np.float32]:
    return np.asarray(scene.image.convert("L"), dtype=np.float32)
