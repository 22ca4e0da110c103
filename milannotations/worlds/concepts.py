"""Concepts: what a synthetic neuron responds to, with an exact mask in every scene.

Spatial concepts (parts and relations) are in ``spatial.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from milannotations.errors import InputError, did_you_mean
from milannotations.worlds.scenes import ATTRIBUTES, BACKGROUNDS, Object, Scene

Mask = NDArray[np.bool_]


class Concept(Protocol):
    """Anything that has a mask in a scene."""

    @property
    def key(self) -> str:
        """The concept combination, spelt so that equal concepts have equal keys."""

    def mask(self, scene: Scene) -> Mask:
        """Return where the concept is visible, bool (224, 224)."""


class OfObjects(ABC):
    """A concept that is true or false of whole objects; its mask is those objects' pixels."""

    @property
    @abstractmethod
    def key(self) -> str:
        """See ``Concept``."""

    @abstractmethod
    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return of which objects it is true, bool (objects,)."""

    def mask(self, scene: Scene) -> Mask:
        """Return the visible pixels of the objects of which it is true."""
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
            values = ATTRIBUTES[self.kind]
            raise InputError(
                f"{self.kind} {self.value!r} is unknown{did_you_mean(self.value, values)}"
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
        """Return True for all objects."""
        return np.ones(len(objects), dtype=bool)


@dataclass(frozen=True)
class And(OfObjects):
    """Objects to which both concepts apply."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys in alphabetical order."""
        return "({} AND {})".format(*sorted((self.first.key, self.second.key)))

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return to which objects both concepts apply."""
        return self.first.select(objects) & self.second.select(objects)


@dataclass(frozen=True)
class Or(OfObjects):
    """Objects to which at least one of two concepts applies."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys in alphabetical order."""
        return "({} OR {})".format(*sorted((self.first.key, self.second.key)))

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return to which objects at least one concept applies."""
        return self.first.select(objects) | self.second.select(objects)


@dataclass(frozen=True)
class AndNot(OfObjects):
    """Objects to which the first concept applies but not the second."""

    first: OfObjects
    second: OfObjects

    @property
    def key(self) -> str:
        """Both keys, the excluded one last."""
        return f"({self.first.key} AND NOT {self.second.key})"

    def select(self, objects: tuple[Object, ...]) -> Mask:
        """Return to which objects the first concept applies but not the second."""
        return self.first.select(objects) & ~self.second.select(objects)


@dataclass(frozen=True)
class Background:
    """What lies behind the objects, in scenes with one kind of background.

    Attributes:
        kind: One of ``BACKGROUNDS``.
    """

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in BACKGROUNDS:
            hint = did_you_mean(self.kind, BACKGROUNDS)
            raise InputError(f"background {self.kind!r} is unknown{hint}")

    @property
    def key(self) -> str:
        """The kind, named as a background: ``plain background``."""
        return f"{self.kind} background"

    def mask(self, scene: Scene) -> Mask:
        """Return the pixels that no object covers; none if the background is of another kind."""
        return (scene.owner < 0) & (scene.background == self.kind)


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
