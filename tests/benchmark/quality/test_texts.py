"""Words, repetitions and junk, where every count is known."""

from __future__ import annotations

import random

import pytest

from benchmark.quality.text_measures import (
    KINDS,
    compound_words,
    count,
    junk_kind,
    measure_text,
    vocabulary_growth,
)
from milannotations.record import NeuronKey


def _keys(number: int) -> list[NeuronKey]:
    return [NeuronKey("m", "d", "layer1", unit) for unit in range(number)]


def test_words_are_runs_of_letters_and_digits() -> None:
    assert compound_words(" The cat's well-lit 2nd EYE (left), e.g. a dog's... ") == [
        "the", "cat's", "well-lit", "2nd", "eye", "left", "e", "g", "a", "dog's",
    ]  # fmt: skip
    assert compound_words("--- _ !") == []
    assert compound_words("собака на траве") == ["собака", "на", "траве"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "empty"), (" . ", "empty"), ("\n\t", "empty"), ("?", "no_letter"),
        ("12 34", "no_letter"), ("a", "one_letter"), ("x 3", "one_letter"),
        ("zzzz", "repeated"), ("A a", "repeated"),
        ("look at HTTPS://x.org/y", "url"), ("www.x.org", "url"), ("N/A", "placeholder"),
        ("Nothing!", "placeholder"), ("None.", "placeholder"), ("test", "placeholder"),
        ("I don't know", "placeholder"), ("dog " * 51, "too_long"), ("dog " * 50, None),
        ("nothing but dogs", None), ("test tubes", None), ("tv", None), ("猫の顔", None),
    ],
)  # fmt: skip
def test_junk_kinds(text: str, kind: str | None) -> None:
    assert junk_kind(text) == kind
    assert kind is None or kind in KINDS


def test_counts() -> None:
    keys = [*_keys(5), _keys(1)[0]]
    counts = count(keys, [[], ["a"], ["a", "b"], ["a"] * 3, ["a"] * 7, ["b"]])
    assert (counts.neurons, counts.annotations, counts.repeated_keys) == (6, 14, 1)
    assert counts.per_neuron == {0: 1, 1: 2, 2: 1, 3: 1, 7: 1}


def test_repetition_within_and_across_neurons() -> None:
    text = measure_text(
        _keys(4),
        [["Red dogs.", "red dogs", "a cat"], ["a cat", "A cat ", ""], ["a cat", "sky"], []],
    )
    assert text.distinct == 3
    assert text.repeating_neurons == 2
    assert text.shared == 4  # "a cat" of three neurons; "red dogs" is one neuron's alone
    assert [(one.text, one.count) for one in text.frequent] == [
        ("a cat", 4), ("red dogs", 2), ("sky", 1),
    ]  # fmt: skip
    assert (text.vocabulary, text.words, text.once) == (5, 13, 1)  # red dogs a cat sky
    assert text.lengths == {1: 1, 2: 6}
    assert (text.median, text.longest) == (2.0, 2)
    assert text.mean == pytest.approx(13 / 7)
    assert text.junk["empty"].count == 1
    assert [(e.layer, e.unit) for e in text.junk["empty"].examples] == [("layer1", 1)]


def test_examples_are_few_short_and_printable() -> None:
    texts = [["n/a"]] * 9 + [["www.x.org \x1b[31m\u202e" + "y" * 500]]
    text = measure_text(_keys(10), texts)
    assert text.junk["placeholder"].count == 9
    assert [e.unit for e in text.junk["placeholder"].examples] == [0, 1, 2, 3, 4]
    (url,) = text.junk["url"].examples
    assert len(url.text) == 120
    assert url.text.isprintable()


def test_without_annotations() -> None:
    text = measure_text(_keys(2), [[], []])
    assert (text.vocabulary, text.mean, text.longest, text.growth) == (0, None, None, [])


def test_vocabulary_growth_is_the_mean_over_random_subsets() -> None:
    rng = random.Random(0)
    annotations = [set(rng.choices("abcdefghijklmnop", k=rng.randint(1, 4))) for _ in range(60)]
    containing = [n for w in "abcdefghijklmnop" if (n := sum(w in a for a in annotations))]
    growth = dict(vocabulary_growth(containing, 60))
    assert growth[60] == pytest.approx(len(containing))
    n = sorted(growth)[3]
    drawn = [len(set().union(*rng.sample(annotations, n))) for _ in range(4000)]
    assert growth[n] == pytest.approx(sum(drawn) / 4000, abs=0.1)
