"""Formulas in English.

A comma closes a group: "river or lake, but not blue" means (river or lake) that is not blue. The
ambiguous "river or lake that is not blue" is never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from baselines.compexp.formula import Formula
from baselines.concepts.label_text import NOTHING, plain

# Categories whose labels are qualities of things.
ADJECTIVES = frozenset({"color", "colour", "texture", "size"})

SCENE = "scene"


@dataclass(frozen=True)
class _Phrase:
    text: str
    adjective: bool = False
    simple: bool = True
    choice: bool = False  # "a or b", to which another "or c" can be added
    scene: bool = False  # things are "in a ..."
    negated: bool = False  # ends with "not ..."
    modified: bool = False  # "blue river": what follows must not seem blue as well


def english(formula: Formula, names: Sequence[str], categories: Sequence[str]) -> str:
    """Return a formula in words.

    Args:
        formula: The formula.
        names: Names of all labels.
        categories: Categories of all labels.

    >>> english(Formula(0, ((2, 1),)), ["water", "river"], ["object", "object"])
    'water that is not a river'
    >>> english(Formula(0, ((1, 1),)), ["circle", "red-c"], ["object", "color"])
    'red circle'
    >>> names = ["river", "lake", "blue-c"]
    >>> english(Formula(0, ((0, 1), (2, 2))), names, ["object", "object", "color"])
    'river or lake, but not blue'
    >>> english(Formula(0, ((1, 1),)), ["bed", "hotel_room-s"], ["object", "scene"])
    'bed in a hotel room'
    """
    if formula.first is None:
        return NOTHING

    def phrase_of(label: int) -> _Phrase:
        category = categories[label]
        return _Phrase(plain(names[label]), category in ADJECTIVES, scene=category == SCENE)

    phrase = phrase_of(formula.first)
    for operator, label in formula.rest:
        phrase = (_either, _both, _without)[operator](phrase, phrase_of(label))
    return f"{phrase.text} things" if phrase.adjective else phrase.text


def _either(left: _Phrase, right: _Phrase) -> _Phrase:
    if (left.simple and not left.modified) or left.choice:
        alike = left.adjective and right.adjective
        text = f"{left.text} or {right.text}" if alike else f"{_noun(left)} or {_noun(right)}"
        return _Phrase(text, alike, simple=False, choice=True)
    return _Phrase(f"{_noun(left)}, or {_noun(right)}", simple=False)


def _both(left: _Phrase, right: _Phrase) -> _Phrase:
    if not left.simple:
        return _Phrase(f"{_noun(left)}, and also {_what(right)}", simple=False)
    if right.scene and not left.scene:
        return _Phrase(f"{_noun(left)} {_what(right)}", simple=False)
    if left.adjective and right.adjective:
        return _Phrase(f"{left.text} and {right.text} things", simple=False)
    if right.adjective:
        return _Phrase(f"{right.text} {left.text}", modified=True)
    if left.adjective:
        return _Phrase(f"{left.text} {right.text}", modified=True)
    return _Phrase(f"{left.text} that is also {_what(right)}", simple=False)


def _without(left: _Phrase, right: _Phrase) -> _Phrase:
    if not left.simple:
        word = "and" if left.negated else "but"
        return _Phrase(f"{_noun(left)}, {word} not {_what(right)}", simple=False, negated=True)
    verb = "are" if left.adjective else "is"
    text = f"{_noun(left)} that {verb} not {_what(right)}"
    return _Phrase(text, simple=False, negated=True)


def _noun(phrase: _Phrase) -> str:
    return f"{phrase.text} things" if phrase.adjective else phrase.text


def _what(phrase: _Phrase) -> str:
    """Return the phrase as it follows "is": "a river", "blue", "trousers", "in a kitchen"."""
    text = phrase.text
    if phrase.scene:
        return f"in {'an' if text[:1] in 'aeiou' else 'a'} {text}"
    if phrase.adjective or (text.endswith("s") and not text.endswith("ss")):
        return text
    return f"an {text}" if text[:1] in "aeiou" else f"a {text}"
