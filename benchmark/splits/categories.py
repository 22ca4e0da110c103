"""The concept category of a neuron's annotations, for splits by category.

These splits depend on the annotations, so they cannot be published as files. The rule is simple, so
that it can be reproduced: an annotation has the first of the categories below of which it contains
a word, and a neuron has the category of most of its annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from datasets import Dataset

from benchmark.tokenization import compound_words

OTHER = "objects"
_WORDS = {
    "text": "text word words letter letters writing lettering number numbers sign signs logo",
    "people": "person people man men woman women human humans face faces hand hands head heads "
    "child children body bodies skin hair clothing clothes",
    "animals": "animal animals dog dogs cat cats bird birds fish insect insects fur feather "
    "feathers snake snakes bear bears spider spiders horse horses wildlife",
    "scenes": "sky water ocean sea grass tree trees forest mountain mountains building buildings "
    "house houses room rooms road street landscape field fields plant plants leaves flower "
    "flowers",
    "textures": "texture textures textured pattern patterns patterned stripe stripes striped "
    "stripy dot dots dotted spots spotted grid grids mesh checkered checked fabric "
    "metal wood fuzzy",
    "colors": "color colors colored red orange yellow green blue purple violet pink brown black "
    "white gray grey dark bright light tan beige",
    "shapes": "shape shapes round circle circles circular square squares rectangle rectangular "
    "triangle triangles line lines edge edges curve curves curved corner corners star stars ring "
    "rings hoop hoops cross crosses box boxes disc discs",
}
CATEGORIES = (*_WORDS, OTHER)
_LOOKUP = {word: name for name, words in _WORDS.items() for word in words.split()}


def category_of(annotations: Iterable[str]) -> str | None:
    """Return the category of most annotations; of equally frequent ones, the first.

    The order is that of ``CATEGORIES``. Returns None if no annotation has a word.

    >>> category_of(["red dogs", "the color red", "brown fur"])
    'animals'
    """
    counts: Counter[str] = Counter()
    for text in annotations:
        named = {_LOOKUP[word] for word in compound_words(text) if word in _LOOKUP}
        if named or compound_words(text):
            counts[next((name for name in CATEGORIES if name in named), OTHER)] += 1
    if not counts:
        return None
    return max(CATEGORIES, key=lambda name: counts[name])


def by_category(neurons: Dataset) -> dict[str, Dataset]:
    """Return the annotated neurons of each category; categories without neurons are left out."""
    rows: dict[str, list[int]] = {}
    for row, texts in enumerate(neurons["annotations"]):
        category = category_of(texts)
        if category is not None:
            rows.setdefault(category, []).append(row)
    return {name: neurons.select(rows[name]) for name in CATEGORIES if name in rows}
