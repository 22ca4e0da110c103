"""Concepts: what a synthetic neuron responds to, with an exact mask in every scene."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from milannotations.errors import InputError, did_you_mean
from milannotations.worlds.scenes import ATTRIBUTES, SIZE, Object, Scene

Mask = NDArray[np.bool_]
PARTS = ("lower edge", "upper edge", "left side", "right side", "outline", "centre")
RELATIONS = ("above", "left of", "inside")
_OUTLINE_PIXELS = 4


class Concept(Protocol):
    """Anything that has a mask in a scene."""

    @property
    def key(self) -> str:
        """The concept combination, written so that equal concepts have equal keys."""

    def mask(self, scene: Scene) -> Mask:
        """Return where the concept is visible, bool (224, 224)."""


class OfObjects(ABC):
    """A concept that is true or false of whole objects: its mask is those objects' pixels."""

    @property
    @abstractmethod
    def key(self) -> str:
        """See ``Concept``."""

    @abstractmethod
    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return which objects it is true of."""

    def mask(self, scene: Scene) -> Mask:
        """Return the visible pixels of the objects it is true of."""
        return scene.mask_of(self.select(scene.objects))


@dataclass(frozen=True)
class Attribute(OfObjects):
    """Objects with one value of shape, colour, texture or size."""

    kind: str
    value: str

    def __post_init__(self) -> None:
        if self.kind not in ATTRIBUTES:
            raise InputError(f"attribute {self.kind!r}{did_you_mean(self.kind, ATTRIBUTES)}")
        if self.value not in ATTRIBUTES[self.kind]:
            known = ATTRIBUTES[self.kind]
            raise InputError(
                f"{self.kind} {self.value!r} is unknown{did_you_mean(self.value, known)}"
            )

    @property
    def key(self) -> str:
        """The value's name."""
        return self.value

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return which objects have the value."""
        return np.array([getattr(o, self.kind) == self.value for o in objects], dtype=bool)


@dataclass(frozen=True)
class Anything(OfObjects):
    """Every object, whatever it is."""

    @property
    def key(self) -> str:
        """``anything``."""
        return "anything"

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return True for all."""
        return np.ones(len(objects), dtype=bool)


@dataclass(frozen=True)
class And(OfObjects):
    """Objects that are both."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys in alphabetical order."""
        return "({} AND {})".format(*sorted((self.first.key, self.second.key)))

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return which objects are both."""
        return self.first.select(objects) & self.second.select(objects)


@dataclass(frozen=True)
class Or(OfObjects):
    """Objects that are one or the other."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys in alphabetical order."""
        return "({} OR {})".format(*sorted((self.first.key, self.second.key)))

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return which objects are either."""
        return self.first.select(objects) | self.second.select(objects)


@dataclass(frozen=True)
class AndNot(OfObjects):
    """Objects that are the first but not the second."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys, the excluded one last."""
        return f"({self.first.key} AND NOT {self.second.key})"

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return which objects are the first but not the second."""
        return self.first.select(objects) & ~self.second.select(objects)


@dataclass(frozen=True)
class Relation(OfObjects):
    """Objects that stand in a relation to another object.

    With centres (x, y) and radii r, in pixels: *a* is **above** *b* if its centre lies higher
    than b's upper end (ya < yb - rb) and their columns overlap (|xa - xb| < ra + rb); **left of**
    is the same turned by 90 degrees; *a* is **inside** *b* if the circle around a lies within the
    circle around b (distance + ra < rb).
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
        """Return which objects are the first and stand in the relation to some second."""
        first, second = self.first.select(objects), self.second.select(objects)
        found = [
            bool(first[i])
            and any(second[j] and i != j and self._holds(a, b) for j, b in enumerate(objects))
            for i, a in enumerate(objects)
        ]
        return np.array(found, dtype=bool)

    def _holds(self, a: Object, b: Object) -> bool:
        if self.kind == "above":
            return a.y < b.y - b.radius and abs(a.x - b.x) < a.radius + b.radius
        if self.kind == "left of":
            return a.x < b.x - b.radius and abs(a.y - b.y) < a.radius + b.radius
        return bool(np.hypot(a.x - b.x, a.y - b.y) + a.radius < b.radius)


@dataclass(frozen=True)
class Part:
    """One part of each object a concept is true of.

    The lower edge is what lies below the centre by more than 0.4 of the radius, and so on for the
    other sides; the outline is what lies within 4 pixels of the visible object's border; the
    centre is what lies within 0.4 of the radius of it.
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
        found = np.zeros((SIZE, SIZE), dtype=bool)
        for index in self.whole.select(scene.objects).nonzero()[0]:
            found |= self._of(scene.objects[index], scene.owner == index)
        return found

    def _of(self, item: Object, visible: Mask) -> Mask:
        if self.part == "outline":
            # Eroded with the image's border as outside, as an object cut off there has an edge.
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


@dataclass(frozen=True)
class Polysemantic:
    """Two unrelated concepts in one neuron."""

    first: Concept
    second: Concept

    @property
    def key(self) -> str:
        """Both keys in alphabetical order."""
        return "({} ALSO {})".format(*sorted((self.first.key, self.second.key)))

    def mask(self, scene: Scene) -> Mask:
        """Return where either is visible."""
        return self.first.mask(scene) | self.second.mask(scene)


@dataclass(frozen=True)
class Dead:
    """Nothing: the neuron is never activated."""

    @property
    def key(self) -> str:
        """``nothing``."""
        return "nothing"

    def mask(self, scene: Scene) -> Mask:
        """Return False everywhere."""
        return np.zeros(scene.owner.shape, dtype=bool)
