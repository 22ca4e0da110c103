"""Kinds of descriptions, against descriptions judged by hand, and the table of layers."""

from __future__ import annotations

import math

import pytest

from applications.analysis.forms_and_topics import (
    FORMS,
    MEANS,
    NO_FORM,
    TOPICS,
    forms_and_topics,
    layer_table,
)
from benchmark.language import Parser, load_parser, properties
from benchmark.splits.categories import CATEGORIES


@pytest.fixture(scope="module")
def parser() -> Parser:
    return load_parser()


@pytest.mark.parametrize(
    ("text", "form", "others", "topics"),
    [
        ("dogs", "category", "", "animals"),
        ("red objects", "attribute", "", "colors"),
        ("brown dogs", "category", "attribute", "animals colors"),
        ("diagonal lines", "attribute", "", "shapes"),
        ("Striped things.", "attribute", "", "textures"),
        ("red circles and text", "category", "attribute", "colors shapes text"),
        ("the top of dog faces", "relation", "category", "animals parts"),
        ("human faces", "category", "", "parts people"),
        ("edges of objects", "relation", "", "parts"),
        ("wheels of cars", "relation", "category", "objects parts"),
        ("a person wearing a facemask", "relation", "category", "objects people"),
        ("dogs on top of grass", "relation", "category", "animals scenes"),
        ("blue areas in pictures", "attribute", "", "colors"),
        ("objects that are in the color red", "attribute", "", "colors"),
        ("a group of dogs", "category", "", "animals"),
        ("a bottle on a table", "relation", "category", "objects"),
        ("different items", NO_FORM, "", ""),
        ("numbers", "category", "", "text"),
        ("nothing", NO_FORM, "", ""),
        ("", NO_FORM, "", ""),
        ("???", NO_FORM, "", ""),
    ],
)
def test_kinds_of_descriptions_judged_by_hand(
    parser: Parser, text: str, form: str, others: str, topics: str
) -> None:
    parsed = forms_and_topics(properties([text], parser)[0])
    assert parsed.form == form
    assert parsed.forms == ({form} - {NO_FORM}) | set(others.split())
    assert parsed.topics == set(topics.split())


def test_topics_are_those_of_the_splits_and_parts() -> None:
    assert set(TOPICS) == {*CATEGORIES, "parts"}


def test_the_table_of_layers(parser: Parser) -> None:
    texts = ["Red dogs.", "red dogs", "a dog in water", "", "lines"]
    layers = ["layer2", "layer2", "layer2", "layer1", "layer1"]
    table = layer_table(layers, texts, properties(texts, parser))
    assert list(table.index) == ["layer2", "layer1"]
    late = table.loc["layer2"]
    assert late["neurons"] == 3
    assert late["length"] == pytest.approx(8 / 3)
    assert 2 <= late["length_low"] <= late["length"] <= late["length_high"] <= 4
    assert late["vocabulary"] == 6  # red dogs a dog in water
    assert late["type_token"] == pytest.approx(6 / 8)
    assert late["distinct"] == pytest.approx(2 / 3)
    assert (late["category"], late["colors"], late["text"]) == pytest.approx((1, 2 / 3, 0))
    assert late["relation"] == pytest.approx(1 / 3)
    # Wilson's interval of 1 of 3, by his formula.
    z = 1.959963984540054
    middle, spread = (1 / 3 + z * z / 6), z * math.sqrt(2 / 27 + z * z / 36)
    below, above = (middle - spread) / (1 + z * z / 3), (middle + spread) / (1 + z * z / 3)
    assert (late["relation_low"], late["relation_high"]) == pytest.approx((below, above))
    assert late["nouns"] == pytest.approx(4 / 3)
    assert table.loc["layer1", "length"] == 0.5
    wanted = ["neurons", "length", "vocabulary", "type_token", "distinct", *FORMS, *TOPICS, *MEANS]
    assert set(wanted) <= set(table.columns)


def test_one_neuron_has_no_interval_of_length_and_none_no_ratio(parser: Parser) -> None:
    table = layer_table(["conv1"], [""], properties([""], parser))
    row = table.loc["conv1"]
    assert (row["length"], row["vocabulary"], row["distinct"]) == (0, 0, 1)
    assert all(math.isnan(row[name]) for name in ("length_low", "length_high", "type_token"))
    assert layer_table([], [], []).empty


def test_lists_of_different_lengths_are_refused(parser: Parser) -> None:
    with pytest.raises(ValueError, match="shorter"):
        layer_table(["conv1", "conv1"], ["dogs"], properties(["dogs"], parser))
