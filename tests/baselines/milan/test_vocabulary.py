"""Words and their numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.milan.vocabulary import SPECIALS, Vocabulary, detokenize, tokenize
from milannotations.errors import InputError


def test_tokens_are_those_of_spacys_english_rules() -> None:
    assert tokenize(["Things that aren't RED,  really."]) == [
        ["things", "that", "are", "n't", "red", ",", "really", "."]
    ]
    assert tokenize(["", "   "]) == [[], []]


@pytest.mark.parametrize(
    "text",
    [
        "circles", "blue-striped dogs, and cats.", "the dog's head", "dogs' heads", "t-shirts",
        "things that aren't round", "animals (mostly dogs)", "and/or", "what is it?", "50% black",
    ],
)  # fmt: skip
def test_detokenizing_restores_ordinary_descriptions(text: str) -> None:
    assert detokenize(tokenize([text])[0]) == text


def test_numbers() -> None:
    vocabulary = Vocabulary.of(["red circles", "red squares", "blue circles, red"])
    assert vocabulary.words == ("red", "circles", ",", "blue", "squares")
    assert len(vocabulary) == 5 + len(SPECIALS)
    assert (vocabulary.start, vocabulary.stop, vocabulary.pad, vocabulary.unknown) == (5, 6, 7, 8)
    numbers = vocabulary.encode(["red circles", "green"])
    assert numbers.tolist() == [[5, 0, 1, 6], [5, 8, 6, 7]]
    assert vocabulary.decode(numbers[0].tolist()[1:]) == "red circles"
    assert vocabulary.decode([8, 3, 6, 0]) == "blue"
    # What is cut has no stop.
    assert vocabulary.encode(["red red red", "red"], longest=2).tolist() == [[5, 0, 0], [5, 0, 6]]
    assert vocabulary.encode([]).shape[0] == 0


@given(st.lists(st.sampled_from(["red", "blue", "dots", "a", "of"]), min_size=1, max_size=12))
def test_decode_undoes_encode(words: list[str]) -> None:
    vocabulary = Vocabulary(("red", "blue", "dots", "a", "of"))
    text = " ".join(words)
    assert vocabulary.decode(vocabulary.encode([text])[0, 1:].tolist()) == text


def test_the_order_of_texts_does_not_matter() -> None:
    texts = ["red dots", "blue dots", "a red thing", "thing of glass"]
    assert Vocabulary.of(texts) == Vocabulary.of(texts[::-1])


def test_descriptions_that_cannot_be_learnt_from() -> None:
    with pytest.raises(InputError, match="no descriptions"):
        Vocabulary.of([])
    with pytest.raises(InputError, match="no descriptions"):
        Vocabulary.of(["", " "])
    with pytest.raises(InputError, match=r"2 of 3 descriptions are not in Latin letters"):
        Vocabulary.of(["красные круги", "青い四角", "dots"])
    assert "café" in Vocabulary.of(["a café", "Größe"]).words
    with pytest.raises(InputError, match="twice"):
        Vocabulary(["a", "a"])
    assert torch.equal(Vocabulary(["a"]).encode(["b"]), torch.tensor([[1, 4, 2]]))
