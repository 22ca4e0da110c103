"""Reading descriptions: which concept of a world a text means."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from milannotations.worlds.concepts import (
    And,
    AndNot,
    Anything,
    Attribute,
    Background,
    Concept,
    Dead,
    Or,
    Polysemantic,
)
from milannotations.worlds.grammar import STYLES, plural
from milannotations.worlds.scenes import ATTRIBUTES, BACKGROUNDS, Scene
from milannotations.worlds.spatial import PARTS, Part, Relation

_END = re.compile(r"[.\s]+$")
_WORDS = re.compile(r"[a-z][a-z-]*")


def read(text: str) -> Concept | None:
    """Return the concept that a sentence of the grammar means; None for any other text.

    >>> read("Red circles.").key
    '(circle AND red)'
    """
    return _sentences().get(_END.sub("", text.lower().strip()))


def shown(text: str, scene: Scene) -> float:
    """Return how much of what a text describes is shown in a scene, from 0 to 1.

    For a sentence of the grammar this is exact: 1 if its concept is visible and 0 if not. For other
    texts, such as a label or a formula, it is the greatest share of the named attributes that any
    one object has; 0 for a text that names none.
    """
    concept = read(text)
    if concept is not None:
        return float(concept.mask(scene).any())
    named = _named(text)
    if not named:
        return 0.0
    having = np.array([[getattr(o, a.kind) == a.value for a in named] for o in scene.objects])
    return float(having.mean(1).max()) if len(having) else 0.0


@cache
def _sentences() -> dict[str, Concept]:
    sentences: dict[str, Concept] = {}
    for concept in _concepts():
        for style in range(STYLES):
            sentences.setdefault(plural(concept, style), concept)
    return sentences


def _concepts() -> Iterator[Concept]:
    """Yield every concept for which the grammar has words, simple ones first."""
    attributes = [Attribute(kind, value) for kind, values in ATTRIBUTES.items() for value in values]
    shapes = [a for a in attributes if a.kind == "shape"]
    colours = [a for a in attributes if a.kind == "colour"]
    yield Dead()
    yield Anything()
    yield from attributes
    yield from (Background(kind) for kind in BACKGROUNDS)
    pairs = list(itertools.permutations(attributes, 2))
    yield from (And(a, b) for a, b in pairs if a.kind != b.kind)
    yield from (Part(side, shape) for side in PARTS for shape in shapes)
    yield from (AndNot(a, b) for a, b in pairs)
    yield from (Or(a, b) for a, b in pairs)
    yield from (Polysemantic(a, b) for a, b in pairs)
    for kind in ("above", "below", "left of", "right of"):
        yield from (Relation(kind, a, b) for a, b in itertools.permutations(shapes, 2))
    yield from (Relation("inside", a, Anything()) for a in [*shapes, *colours])
    yield from (Relation("inside", Anything(), b) for b in shapes)


@cache
def _names() -> dict[str, Attribute]:
    """Return the attribute that each word or phrase of the grammar names."""
    names: dict[str, Attribute] = {}
    for kind, values in ATTRIBUTES.items():
        for value in values:
            attribute = Attribute(kind, value)
            names[value] = attribute
            if kind == "shape":
                for style in range(STYLES):
                    names[plural(attribute, style)] = attribute
    return names


@cache
def _named(text: str) -> tuple[Attribute, ...]:
    joined = " ".join(_WORDS.findall(text.lower()))
    return tuple(
        dict.fromkeys(a for name, a in _names().items() if re.search(rf"\b{name}\b", joined))
    )
