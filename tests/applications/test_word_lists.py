"""Word lists: literal words, stems, phrases, and words that mean nearly the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from applications import word_lists as module
from applications.word_lists import SearchWord, WordList, expand
from milannotations.errors import InputError


@pytest.mark.parametrize(
    ("terms", "description", "found"),
    [
        ("faces", "the top of a dog Face.", ("face",)),
        ("face", "faces, FACES and a face", ("faces", "face")),
        ("text", "textures and textured areas", ()),
        ("text", "texts in a picture", ("texts",)),
        ("stop sign", "two stop-signs and a Stop  Sign", ("stop signs", "stop sign")),
        ("stop-sign", "stop signs", ("stop signs",)),
        ("stop sign", "signs that say stop, a sign", ()),
        ("stop sign", "stop a sign", ()),
        ("dog", "a dog's ear", ("dog",)),
        ("dog's", "dogs and cats", ()),
        ("cat, dog", "dogs and cats", ("dogs", "cats")),
        ("leaf", "leaves", ()),  # Porter's stems differ
        ("c++", "a c++ book", ("c++",)),
        ("c++", "vitamin c, ccc", ()),
        ("c", "c++", ()),
        ("(face)", "a face (left)", ("face",)),
        ("d.g", "dog", ()),
        ("fac[es]", "face", ()),
        ("a|b", "a", ()),
        ("^dog$", "a dog here", ("dog",)),
        ("café", "Cafe\u0301s in Paris", ("cafés",)),
        ("собака", "Собака на траве", ("собака",)),
        ("dog", "", ()),
        ("dog", "…", ()),
    ],
)
def test_matches(terms: str, description: str, found: tuple[str, ...]) -> None:
    assert WordList.parse(terms).matches(description) == found


def test_exact_words_are_compared_as_written() -> None:
    exact = WordList.parse("face, stop signs", exact=True)
    assert exact.matches("Face") == ("face",)
    assert exact.matches("faces, stop sign") == ()
    assert exact.matches("red stop signs") == ("stop signs",)


def test_terms_are_split_at_commas_and_kept_once() -> None:
    assert WordList.parse(" faces ,stop   sign", "dog,faces").terms == ("faces", "stop sign", "dog")


@pytest.mark.parametrize("text", [".*", "+", "()", "", "a,,b", "dog,", "…", "_"])
def test_a_term_without_letter_or_digit_is_named(text: str) -> None:
    bad = next(term for term in text.split(",") if not any(map(str.isalnum, term)))
    with pytest.raises(InputError) as error:
        WordList.parse(text)
    assert repr(bad) in str(error.value)


def test_no_terms_at_all() -> None:
    with pytest.raises(InputError, match="give at least one"):
        WordList.parse()


@given(st.text(max_size=30), st.text(max_size=20))
@example("c++", "((((")
@example("İ", "i")
def test_any_text_finds_itself_and_never_fails(description: str, term: str) -> None:
    try:
        words = WordList((term,))
    except InputError:
        assert not any(character.isascii() and character.isalnum() for character in term)
        return
    words.matches(description)
    assert words.matches(term)
    assert WordList((term,), exact=True).matches(f"one {term} two")


class Synset:
    """A synset of a small WordNet."""

    def __init__(self, lemmas: str, below: Sequence[Synset] = (), instance: bool = False) -> None:
        self.lemmas, self.below, self.instance = lemmas.split(), below, instance

    def lemma_names(self) -> list[str]:
        return self.lemmas

    def hyponyms(self) -> list[Synset]:
        return list(self.below)

    def instance_hypernyms(self) -> list[str]:
        return ["writer"] if self.instance else []


class Wordnet:
    """Knows a few words, as nltk's reader would."""

    known = {  # noqa: RUF012
        "dog": [Synset("dog domestic_dog Canis_familiaris", [Synset("puppy")]), Synset("cad dog")],
        "stop_sign": [Synset("stop_sign halt_sign")],
        "crane": [Synset("Crane Stephen_Crane", instance=True), Synset("crane derrick")],
    }

    def ensure_loaded(self) -> None:
        pass

    def synsets(self, name: str, pos: str) -> list[Synset]:
        assert pos == "n"
        return self.known.get(name, [])


@pytest.fixture
def small_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wordnet", Wordnet())


def test_wordnet_adds_synonyms_of_the_first_sense(small_wordnet: None) -> None:
    found = expand(WordList.parse("Stop sign, dog, crane, blob"), "wordnet")
    assert [(one.word, one.source) for one in found] == [
        ("Stop sign", "Stop sign"), ("dog", "dog"), ("crane", "crane"), ("blob", "blob"),
        ("halt sign", "Stop sign"), ("canis familiaris", "dog"), ("derrick", "crane"),
    ]  # fmt: skip
    assert {one.similarity for one in found} == {None}


def test_wordnet_senses_and_hyponyms(small_wordnet: None) -> None:
    dog = WordList.parse("dog")
    assert [one.word for one in expand(dog, "wordnet", senses=2)][1:] == ["canis familiaris", "cad"]
    assert "puppy" in [one.word for one in expand(dog, "wordnet", hyponyms=True)]
    with pytest.raises(InputError, match="senses is 0"):
        expand(dog, "wordnet", senses=0)


def test_missing_wordnet_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing(Wordnet):
        def ensure_loaded(self) -> None:
            raise LookupError("Resource wordnet not found")

    monkeypatch.setattr(module, "wordnet", Missing())
    with pytest.raises(InputError, match=r"python -m nltk\.downloader wordnet"):
        expand(WordList.parse("dog"), "wordnet")


class Plane:
    """Encodes words as directions in a plane, at known angles in degrees."""

    angles = {"dog": 0, "dogs": 1, "puppy": 20, "wolf": 40, "cat": 60, "kitten": 70}  # noqa: RUF012

    def encode(self, sentences: Sequence[str]) -> Any:
        angles = np.radians([self.angles[text] for text in sentences])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_embeddings_add_words_near_a_term() -> None:
    vocabulary = ["Puppy", "puppy", "wolf", "dogs", "kitten", "?"]
    found = expand(
        WordList.parse("dog, cat"), "embeddings", vocabulary, encoder=Plane(), threshold=0.9
    )
    cosines = {"puppy": 20, "wolf": 20, "kitten": 10}
    assert [(one.word, one.source) for one in found] == [
        ("dog", "dog"), ("cat", "cat"), ("puppy", "dog"), ("kitten", "cat"), ("wolf", "cat"),
    ]  # fmt: skip
    for one in found[2:]:
        assert one.similarity == pytest.approx(np.cos(np.radians(cosines[one.word])))


def test_a_word_stays_with_the_term_it_is_most_similar_to() -> None:
    found = expand(
        WordList.parse("dog, cat"), "embeddings", ["wolf"], encoder=Plane(), threshold=0.5
    )
    assert (found[-1].word, found[-1].source) == ("wolf", "cat")


def test_none_and_an_empty_vocabulary_add_nothing() -> None:
    words = WordList.parse("dog")
    assert expand(words, "none", ["puppy"]) == [SearchWord("dog", "dog")]
    assert expand(words, "embeddings", [], encoder=Plane()) == [SearchWord("dog", "dog")]


@pytest.mark.parametrize(
    ("how", "settings", "message"),
    [
        ("embedings", {}, "did you mean 'embeddings'"),
        ("embeddings", {}, "needs an encoder"),
        ("embeddings", {"encoder": Plane(), "threshold": 60}, "threshold is 60"),
    ],
)
def test_mistakes_of_expansion(how: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        expand(WordList.parse("dog"), how, ["wolf"], **settings)
