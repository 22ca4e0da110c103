"""Ground-truth references: three true descriptions of a concept that differ in words and form.

They come from a grammar, not from people, and are never called human.
"""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from milannotations.errors import InputError
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
from milannotations.worlds.spatial import Part, Relation

STYLES = 3
_NOUNS = {
    "circle": (("circle", "circles"), ("disc", "discs"), ("round shape", "round shapes")),
    "square": (("square", "squares"), ("box", "boxes"), ("square shape", "square shapes")),
    "triangle": (
        ("triangle", "triangles"),
        ("three-sided shape", "three-sided shapes"),
        ("triangular shape", "triangular shapes"),
    ),
    "star": (("star", "stars"), ("star shape", "star shapes"), ("pointed star", "pointed stars")),
    "ring": (("ring", "rings"), ("hoop", "hoops"), ("hollow circle", "hollow circles")),
    "cross": (("cross", "crosses"), ("plus sign", "plus signs"), ("cross shape", "cross shapes")),
}
_ANY = (("object", "objects"), ("thing", "things"), ("shape", "shapes"))
_ADJECTIVES = {
    "purple": ("purple", "violet", "purple"),
    "pink": ("pink", "rose pink", "pink"),
    "brown": ("brown", "dark brown", "brown"),
    "solid": ("solid", "plain", "unpatterned"),
    "striped": ("striped", "stripy", "striped"),
    "dotted": ("dotted", "spotted", "polka dot"),
    "checkered": ("checkered", "checked", "chequerboard"),
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "large"),
}
_AFTER = {
    "solid": ("without a pattern", "of one flat color", "with no markings"),
    "striped": ("with stripes", "covered in stripes", "with diagonal stripes"),
    "dotted": ("with dots", "covered in spots", "with polka dots"),
    "checkered": ("with a checkerboard pattern", "covered in checks", "with a checked pattern"),
    "small": ("of small size", "that are little", "that are tiny"),
    "large": ("of large size", "that are big", "that take up much space"),
}
_PARTS = {
    "lower edge": ("the lower edge of", "bottoms of", "the underside of"),
    "upper edge": ("the upper edge of", "tops of", "the topmost part of"),
    "left side": ("the left side of", "left edges of", "the part on the left of"),
    "right side": ("the right side of", "right edges of", "the part on the right of"),
    "outline": ("the outline of", "borders of", "the edges around"),
    "centre": ("the center of", "the middle part of", "the inner part of"),
}
_BACKGROUNDS = {
    "plain": ("plain backgrounds", "areas of one flat color", "an empty surrounding, unpatterned"),
    "gradient": ("gradient backgrounds", "areas that fade", "a surrounding that gets lighter"),
    "speckled": ("speckled backgrounds", "areas with specks", "a grainy surrounding"),
    "grid": ("grid backgrounds", "areas with faint lines", "a surrounding ruled into squares"),
}
_RELATIONS = {
    "above": ("above", "over", "below"),
    "below": ("below", "underneath", "above"),
    "left of": ("to the left of", "left of", "to the right of"),
    "right of": ("to the right of", "right of", "to the left of"),
}
_DEAD = ("nothing in particular", "no clear pattern", "unrelated regions")


def references(concept: Concept, rng: np.random.Generator) -> tuple[str, str, str]:
    """Return three different descriptions of a concept, in random order.

    Raises:
        InputError: If the grammar cannot express the concept, for example a deeply nested one.
    """
    first, second, third = (plural(concept, int(style)) for style in rng.permutation(STYLES))
    return first, second, third


@singledispatch
def plural(concept: Concept, style: int) -> str:
    """Describe a concept in one of three styles, 0 to 2."""
    raise InputError(f"the grammar has no words for {type(concept).__name__} {concept.key!r}")


@plural.register
def _(concept: Attribute, style: int) -> str:
    if concept.kind == "shape":
        return _NOUNS[concept.value][style][1]
    noun = _ANY[style][1]
    if style == 1:
        return f"{noun} {_after(concept, 1)}"
    return (
        f"{_adjective(concept, style)} {noun}" if style == 0 else f"any {noun} {_after(concept, 2)}"
    )


@plural.register
def _(concept: Anything, style: int) -> str:
    return _ANY[style][1]


@plural.register
def _(concept: Background, style: int) -> str:
    return _BACKGROUNDS[concept.kind][style]


@plural.register
def _(concept: And, style: int) -> str:
    head, other = _shape_first(concept.first, concept.second)
    if head.kind == "shape":
        noun = _NOUNS[head.value][style][1]
        if style == 1:
            return f"{noun} {_after(other, 1)}"
        return f"{_adjective(other, style)} {noun}"
    if style == 0:
        return f"{_adjective(other, 0)} {_adjective(head, 0)} objects"
    if style == 1:
        return f"{_adjective(head, 1)} things {_after(other, 1)}"
    return f"{_adjective(other, 2)} shapes {_after(head, 2)}"


@plural.register
def _(concept: Or, style: int) -> str:
    first, second = plural(concept.first, style), plural(concept.second, style)
    form = ("{0} and {1}", "{1} or {0}", "either {0} or {1}")[style]
    return form.format(first, second)


@plural.register
def _(concept: AndNot, style: int) -> str:
    head = plural(concept.first, style if style < 2 else 0)
    without = _attribute(concept.second)
    if without.kind == "shape":
        noun = _NOUNS[without.value][style][1]
        return (f"{head} that are not {noun}", f"{head} except {noun}", f"{head} but no {noun}")[
            style
        ]
    word = _adjective(without, style)
    return (f"{head} that are not {word}", f"{head} except {word} ones", f"non-{word} {head}")[
        style
    ]


@plural.register
def _(concept: Part, style: int) -> str:
    return f"{_PARTS[concept.part][style]} {plural(concept.whole, style)}"


@plural.register
def _(concept: Relation, style: int) -> str:
    first = plural(concept.first, style)
    if concept.kind == "inside":
        if isinstance(concept.second, Anything):
            form = ("inside other shapes", "within a larger object", "enclosed by something")
            return f"{first} {form[style]}"
        return (
            f"{first} {('inside', 'within', 'enclosed by')[style]} {plural(concept.second, style)}"
        )
    if style == 1:
        second = _singular(concept.second, 1)
        article = "an" if second[0] in "aeiou" else "a"
        return f"{first} with {article} {second} {_RELATIONS[concept.kind][2]} them"
    return f"{first} {_RELATIONS[concept.kind][style // 2]} {plural(concept.second, style)}"


@plural.register
def _(concept: Polysemantic, style: int) -> str:
    first, second = plural(concept.first, style), plural(concept.second, style)
    return (f"{first}, and also {second}", f"{second} as well as {first}", f"{first}; {second}")[
        style
    ]


@plural.register
def _(concept: Dead, style: int) -> str:
    return _DEAD[style]


def _shape_first(*pair: Concept) -> tuple[Attribute, Attribute]:
    first, second = (_attribute(concept) for concept in pair)
    rank = {"shape": 0, "texture": 1, "size": 2, "colour": 3}
    return (first, second) if rank[first.kind] <= rank[second.kind] else (second, first)


def _attribute(concept: Concept) -> Attribute:
    if not isinstance(concept, Attribute):
        raise InputError(f"the grammar has words for attributes here only, not {concept.key!r}")
    return concept


def _adjective(attribute: Attribute, style: int) -> str:
    return _ADJECTIVES.get(attribute.value, (attribute.value,) * STYLES)[style]


def _after(attribute: Attribute, style: int) -> str:
    if attribute.kind == "colour":
        word = _adjective(attribute, style)
        return (f"in {word}", f"that are {word}", f"colored {word}")[style]
    return _AFTER[attribute.value][style]


def _singular(concept: Concept, style: int) -> str:
    if isinstance(concept, Attribute) and concept.kind == "shape":
        return _NOUNS[concept.value][style][0]
    if isinstance(concept, Attribute):
        return f"{_adjective(concept, style)} {_ANY[style][0]}"
    return _ANY[style][0]
