"""Spatial concepts: parts of objects, and relations between objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from milannotations.errors import InputError, did_you_mean
from milannotations.worlds.concepts import Mask, OfObjects
from milannotations.worlds.scenes import SIZE, Object, Scene

PARTS = ("lower edge", "upper edge", "left side", "right side", "outline", "centre")
RELATIONS = ("above", "below", "left of", "right of", "inside")
_OUTLINE_PIXELS = 4


@dataclass(frozen=True)
class Relation(OfObjects):
    """Objects that stand in a relation to another object.

    With centres (x, y) and radii r in pixels, *a* is **above** *b* if its centre is higher than
    b's upper end (ya < yb - rb) and their columns overlap (|xa - xb| < ra + rb). **Below**,
    **left of** and **right of** are the same, mirrored or turned by 90 degrees. *a* is **inside**
    *b* if the circle around a lies within the circle around b (distance + ra < rb).
    """

    kind: str
    first: OfObjects
    second: OfObjects

    def __post_init__(self) -> None:
        if self.kind not in RELATIONS:
            raise InputError(
                f"relation {self.kind!r} is unknown{did_you_mean(self.kind, RELATIONS)}"
            )

    @property
    def key(self) -> str:
        """Subject, relation, object."""
        return f"({self.first.key} {self.kind.upper()} {self.second.key})"

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return the first concept's objects that stand in the relation to one of the second's."""
        first, second = self.first.select(objects), self.second.select(objects)
        chosen = [
            bool(first[i])
            and any(second[j] and i != j and self._holds(a, b) for j, b in enumerate(objects))
            for i, a in enumerate(objects)
        ]
        return np.array(chosen, dtype=bool)

    def _holds(self, a: Object, b: Object) -> bool:
        if self.kind == "above":
            return a.y < b.y - b.radius and abs(a.x - b.x) < a.radius + b.radius
        if self.kind == "below":
            return a.y > b.y + b.radius and abs(a.x - b.x) < a.radius + b.radius
        if self.kind == "left of":
            return a.x < b.x - b.radius and abs(a.y - b.y) < a.radius + b.radius
        if self.kind == "right of":
            return a.x > b.x + b.radius and abs(a.y - b.y) < a.radius + b.radius
        return bool(np.hypot(a.x - b.x, a.y - b.y) + a.radius < b.radius)


@dataclass(frozen=True)
class Part:
    """One part of each object of which a concept is true.

    The lower edge is everything more than 0.4 radii below the object's centre, and likewise for the
    other sides. The outline is everything within 4 pixels of the visible object's border. The part
    ``centre`` is everything within 0.4 radii of the object's centre.
    """

    part: str
    whole: OfObjects

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise InputError(f"part {self.part!r} is unknown{did_you_mean(self.part, PARTS)}")

    @property
    def key(self) -> str:
        """The part, then the whole."""
        return f"({self.part.upper()} OF {self.whole.key})"

    def mask(self, scene: Scene) -> Mask:
        """Return the visible pixels of the part."""
        pixels = np.zeros((SIZE, SIZE), dtype=bool)
        for index in self.whole.select(scene.objects).nonzero()[0]:
            pixels |= self._of(scene.objects[index], scene.owner == index)
        return pixels

    def _of(self, item: Object, visible: Mask) -> Mask:
        if self.part == "outline":
            # Erosion takes the image's border as outside: an object cut off there has an edge.
            return visible & ~ndimage.binary_erosion(visible, iterations=_OUTLINE_PIXELS)
        rows, columns = np.ogrid[0:SIZE, 0:SIZE]
        down, right, far = rows - item.y, columns - item.x, 0.4 * item.radius
        if self.part == "centre":
            return visible & (np.hypot(down, right) < far)
        sides = {
            "lower edge": down > far,
            "upper edge": down < -far,
            "left side": right < -far,
            "right side": right > far,
        }
        return visible & sides[self.part]
