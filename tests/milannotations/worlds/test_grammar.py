"""References: distinct, well formed, and true of their concept."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

from milannotations.errors import InputError
from milannotations.worlds import (
    And,
    AndNot,
    Attribute,
    Background,
    Concept,
    Dead,
    Or,
    Part,
    Polysemantic,
    Relation,
    references,
    synthetic_neurons,
)
from milannotations.worlds.scenes import BACKGROUNDS, COLOURS, SHAPES

# Every word that names a value, in whatever reference.
WORDS = {
    "circle": r"(?<!hollow )circles?|discs?|round",
    "square": r"squares?(?! shape)|box(es)?|square shapes?",
    "triangle": r"triang\w+|three-sided",
    "star": r"stars?",
    "ring": r"rings?|hoops?|hollow",
    "cross": r"cross(es)?|plus signs?",
    "red": "red", "green": "green", "blue": "blue", "yellow": "yellow", "orange": "orange",
    "purple": "purple|violet", "pink": "pink", "brown": "brown",
    "solid": "solid|plain|pattern|unpatterned|flat|markings",
    "striped": r"striped?|stripes|stripy", "dotted": r"dots?|dotted|spots|spotted|polka",
    "checkered": r"check\w*|chequerboard",
    "small": "small|little|tiny", "large": "large|big|much",
    "lower edge": "lower|bottoms|underside", "upper edge": "upper|tops|topmost",
    "left side": r"left(?! of)|left of three|on the left", "right side": "right",
    "outline": "outline|borders|edges around", "centre": "center|middle|inner",
    "above": "above|over|below", "left of": r"left|to the right of",
    "inside": "inside|within|enclosed",
    "anything": r"objects?|things?|shapes?|something",
}  # fmt: skip
VALUES = [
    *SHAPES, *COLOURS, "striped", "dotted", "checkered", "small",
]  # fmt: skip


def primitives(concept: Concept) -> Iterator[str]:
    if isinstance(concept, Part):
        yield concept.part
        yield from primitives(concept.whole)
    elif isinstance(concept, Relation):
        yield concept.kind
        yield from (*primitives(concept.first), *primitives(concept.second))
    elif isinstance(concept, And | Or | AndNot | Polysemantic):
        yield from (*primitives(concept.first), *primitives(concept.second))
    elif not isinstance(concept, Dead):
        yield concept.key


NEURONS = synthetic_neurons()


def test_three_are_distinct_and_short():
    for neuron in NEURONS:
        assert len(set(neuron.references)) == 3
        for text in neuron.references:
            assert text == text.lower().strip() and not text.endswith(".")
    lengths = [len(text.split()) for n in NEURONS for text in n.references]
    assert 3 <= np.mean(lengths) <= 6
    assert max(lengths) <= 12


def test_differ_in_words_and_form():
    for neuron in NEURONS:
        words = [frozenset(re.findall(r"[\w-]+", text)) for text in neuron.references]
        assert len(set(words)) == 3, neuron.references


@pytest.mark.parametrize("kind", ["single", "and", "or", "and-not", "part", "relation"])
def test_name_what_the_concept_is_made_of_and_nothing_else(kind):
    for neuron in (n for n in NEURONS if n.kind == kind):
        named = set(primitives(neuron.concept))
        for text in neuron.references:
            for value in named:
                assert re.search(rf"\b({WORDS[value]})\b", text), (neuron.concept.key, text)
            for value in set(VALUES) - named:
                assert not re.search(rf"\b({WORDS[value]})\b", text), (neuron.concept.key, text)


def test_polysemantic_names_both():
    for neuron in (n for n in NEURONS if n.kind == "polysemantic"):
        for text in neuron.references:
            for value in primitives(neuron.concept):
                assert re.search(rf"\b({WORDS[value]})\b", text), text


def test_negation_is_said():
    for neuron in (n for n in NEURONS if n.kind == "and-not"):
        for text in neuron.references:
            assert re.search(r"\b(not|except|but no)\b|non-", text)
            excluded = neuron.concept.second.value
            after = re.split(r"\bnot\b|\bexcept\b|\bbut no\b|non-", text, maxsplit=1)[1]
            assert re.search(rf"\b({WORDS[excluded]})\b", after), text


def test_direction_is_kept():
    circle, star = Attribute("shape", "circle"), Attribute("shape", "star")
    for kind, word, reverse in (
        ("above", "above|over", "below"),
        ("below", "below|underneath", "above"),
        ("left of", "left of", "right of"),
        ("right of", "right of", "left of"),
    ):
        for text in references(Relation(kind, circle, star), np.random.default_rng(0)):
            subject = re.search(WORDS["circle"], text)
            other = re.search(WORDS["star"], text)
            assert subject.start() < other.start()
            assert re.search(word, text) if "with" not in text else reverse in text


def test_article_before_a_vowel():
    orange = Attribute("colour", "orange")
    texts = references(Relation("above", orange, orange), np.random.default_rng(0))
    assert any("with an orange thing" in text for text in texts)


def test_same_seed_same_references_and_styles_vary():
    concept = And(Attribute("shape", "circle"), Attribute("colour", "red"))
    same = [references(concept, np.random.default_rng(4)) for _ in range(2)]
    assert same[0] == same[1]
    assert len({references(concept, np.random.default_rng(s)) for s in range(20)}) > 1


def test_background_and_dead():
    for kind in BACKGROUNDS:
        texts = references(Background(kind), np.random.default_rng(0))
        assert len(set(texts)) == 3
    assert set(references(Dead(), np.random.default_rng(0))) >= {"no clear pattern"}


def test_mistakes():
    nested = And(
        Or(Attribute("colour", "red"), Attribute("colour", "blue")), Attribute("size", "small")
    )
    with pytest.raises(InputError, match="words for attributes"):
        references(nested, np.random.default_rng(0))
