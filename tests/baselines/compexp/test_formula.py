from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from baselines.compexp.english import english
from baselines.compexp.formula import Formula, parse
from baselines.concepts.label_text import milan_formula, milan_label, plain
from milannotations.errors import InputError
from tests.baselines.compexp.spaces import Pixels

NAMES = ["a", "red-c", "air conditioner", "street-s", "bat (animal)", "b OR c", "x AND y"]


def random_formula(rng: random.Random, concepts: int) -> Formula:
    rest = [(rng.randrange(3), rng.randrange(concepts)) for _ in range(rng.randrange(5))]
    return Formula(rng.randrange(concepts), tuple(rest))


@pytest.mark.parametrize("seed", range(200))
def test_what_is_printed_is_read_back(seed: int) -> None:
    formula = random_formula(random.Random(seed), len(NAMES))
    assert parse(formula.text(NAMES), NAMES) == formula


def test_names_that_look_like_formulas() -> None:
    """Every formula of up to three labels whose text no other has."""
    names = ["a", "b", "c", "b OR c", "(a OR b)", "(NOT b)", "x AND (NOT c)"]
    joins = list(itertools.product(range(3), range(len(names))))
    formulas = [
        Formula(first, rest)
        for first in range(len(names))
        for length in range(3)
        for rest in itertools.product(joins, repeat=length)
    ]
    written: dict[str, list[Formula]] = {}
    for formula in formulas:
        written.setdefault(formula.text(names), []).append(formula)
    alone = 0
    for text, meanings in written.items():
        assert parse(text, names) in meanings
        alone += len(meanings) == 1
    assert len(written) > alone > 1000


def test_the_original_form() -> None:
    formula = Formula(0, ((0, 2), (2, 1)))
    assert formula.text(NAMES) == "((a OR air conditioner) AND (NOT red-c))"
    assert (formula.length, formula.published_length) == (3, 4)
    assert Formula(None).text(NAMES) == "NONE"
    assert parse("NONE", NAMES) == Formula(None)


@pytest.mark.parametrize(
    "text", ["", "(a OR", "(a XOR red-c)", "(z AND a)", "(a AND (NOT z))", "z"]
)
def test_what_is_no_formula(text: str) -> None:
    with pytest.raises(InputError, match="is no formula"):
        parse(text, NAMES)


@pytest.mark.parametrize("seed", range(50))
def test_atoms_are_those_of_the_pixels(seed: int) -> None:
    pixels = Pixels(seed % 5, concepts=6)
    formula = random_formula(random.Random(seed), 6)
    atoms = formula.atoms(pixels.space.columns)
    assert pixels.space.areas[atoms].sum() == pixels.mask(formula).sum()


def test_a_formula_of_nothing_has_no_atoms() -> None:
    assert not Formula(None).atoms(Pixels(0).space.columns).any()


WORDS = ["river", "lake", "blue-c", "dotted", "kitchen-s", "trousers", "oak_tree"]
KINDS = ["object", "object", "color", "texture", "scene", "object", "object"]


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (Formula(None), "nothing"),
        (Formula(2), "blue things"),
        (Formula(6), "oak tree"),
        (Formula(0, ((0, 1),)), "river or lake"),
        (Formula(0, ((0, 1), (0, 5))), "river or lake or trousers"),
        (Formula(2, ((0, 3),)), "blue or dotted things"),
        (Formula(0, ((0, 2),)), "river or blue things"),
        (Formula(0, ((2, 1),)), "river that is not a lake"),
        (Formula(0, ((2, 6),)), "river that is not an oak tree"),
        (Formula(5, ((2, 5),)), "trousers that is not trousers"),
        (Formula(2, ((2, 3),)), "blue things that are not dotted"),
        (Formula(0, ((1, 2),)), "blue river"),
        (Formula(2, ((1, 3),)), "blue and dotted things"),
        (Formula(0, ((1, 2), (0, 1))), "blue river, or lake"),
        (Formula(0, ((1, 1),)), "river that is also a lake"),
        (Formula(0, ((1, 4),)), "river in a kitchen"),
        (Formula(0, ((2, 4),)), "river that is not in a kitchen"),
        (Formula(0, ((0, 1), (1, 4))), "river or lake, and also in a kitchen"),
        (Formula(0, ((0, 1), (2, 2))), "river or lake, but not blue"),
        (Formula(0, ((2, 2), (2, 3))), "river that is not blue, and not dotted"),
        (Formula(0, ((2, 1), (0, 2))), "river that is not a lake, or blue things"),
    ],
)
def test_english(formula: Formula, text: str) -> None:
    assert english(formula, WORDS, KINDS) == text


@pytest.mark.parametrize("kinds", [["object"] * 5, ["object", "color", "object", "scene", "color"]])
def test_different_formulas_are_said_differently(kinds: list[str]) -> None:
    """All of up to three labels."""
    said: dict[str, list[np.ndarray]] = {}
    columns = Pixels(0, concepts=5, pixels=4000).space.columns
    names = ["river", "lake", "hill", "road", "sky"]
    for first in range(5):
        for one in range(15):
            for two in range(15):
                formula = Formula(first, (divmod(one, 5), divmod(two, 5)))
                text = english(formula, names, kinds)
                said.setdefault(text, []).append(formula.atoms(columns))
    for text, meanings in said.items():
        assert all((meaning == meanings[0]).all() for meaning in meanings), text


@pytest.mark.parametrize(
    ("label", "short", "people"),
    [("tree-t", "tree", "tree"), ("red-c", "red", "red"), ("t-shirt", "t", "t-shirt"),
     ("air_conditioner", "air_conditioner", "air conditioner"), ("street-s", "street", "street")],
)  # fmt: skip
def test_labels_as_text(label: str, short: str, people: str) -> None:
    assert milan_label(label) == short
    assert plain(label) == people


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("((water OR River) AND (NOT blue-c))", "water or river and not blue"),
        ("((street-s OR bed) AND (NOT swimming_pool-s))", "street or bed and not swimming pool"),
        ("(red-c OR (NOT dog))", "red or not dog"),
        ("tree-t", "tree"),
    ],
)
def test_formulas_as_the_paper_compares_them(formula: str, text: str) -> None:
    assert milan_formula(formula) == text
