"""Measures of annotations: words, repetitions, and annotations that say nothing."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.special import gammaln

from benchmark.quality.schema import (
    EXAMPLES,
    AnnotationExample,
    Counts,
    FrequentAnnotation,
    JunkAnnotations,
    TextMeasures,
)
from benchmark.tokenization import compound_words, normalize
from milannotations.record import NeuronKey

MAX_WORDS = 50  # an annotation with more is too long
MOST_FREQUENT = 10
_MAX_CHARACTERS = 120  # of an annotation in a report
_GROWTH_POINTS = 25

# The kinds of junk, in the order in which they are checked, and their titles.
KINDS = {
    "empty": "empty",
    "no_letter": "no letter",
    "one_letter": "one letter",
    "repeated": "one character repeated",
    "url": "holds a web address",
    "placeholder": "placeholder",
    "too_long": f"more than {MAX_WORDS} words",
}
PLACEHOLDERS = frozenset(
    {
        *("n/a", "na", "nan", "nil", "none", "null", "nothing", "undefined", "unknown"),
        *("test", "testing", "tbd", "todo", "asdf", "lorem ipsum", "no description"),
        *("idk", "i don't know", "i dont know", "not sure", "no idea"),
    }
)
_URL = re.compile(r"https?://|\bwww\.\w")


def junk_kind(text: str) -> str | None:
    """Return the first kind of junk in ``KINDS`` that applies to an annotation, or None.

    >>> [junk_kind(t) for t in ("", "?!", "x", "aaaa", "see www.a.org", "N/A.", "dogs")]
    ['empty', 'no_letter', 'one_letter', 'repeated', 'url', 'placeholder', None]
    """
    plain = normalize(text)
    if not plain:
        return "empty"
    letters = sum(character.isalpha() for character in plain)
    if letters < 2:
        return "one_letter" if letters else "no_letter"
    if len(set("".join(plain.split()))) == 1:
        return "repeated"
    if _URL.search(plain):
        return "url"
    if plain.strip(string.punctuation + string.whitespace) in PLACEHOLDERS:
        return "placeholder"
    return "too_long" if len(compound_words(text)) > MAX_WORDS else None


def shown(text: str) -> str:
    """Return a text as it appears in a report: printable, on one line, and shortened.

    >>> shown("a\\ndog\\x1b[31m")
    'a dog [31m'
    """
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= _MAX_CHARACTERS else clean[: _MAX_CHARACTERS - 1] + "…"


def count(keys: Sequence[NeuronKey], annotations: Sequence[Sequence[str]]) -> Counts:
    """Count neurons and annotations.

    Args:
        keys: Keys of the neurons.
        annotations: Annotations of each neuron.
    """
    return Counts(
        neurons=len(keys),
        annotations=sum(map(len, annotations)),
        per_neuron=dict(sorted(Counter(map(len, annotations)).items())),
        repeated_keys=len(keys) - len(set(keys)),
    )


def measure_text(keys: Sequence[NeuronKey], annotations: Sequence[Sequence[str]]) -> TextMeasures:
    """Measure annotations.

    Args:
        keys: Keys of the neurons.
        annotations: Annotations of each neuron.

    >>> key = NeuronKey("alexnet", "imagenet", "conv1", 0)
    >>> measure_text([key], [["Red dogs.", "red dogs"]]).repeating_neurons
    1
    """
    junk = {kind: JunkAnnotations(count=0, examples=[]) for kind in KINDS}
    lengths: Counter[int] = Counter()
    tokens = 0
    containing: Counter[str] = Counter()  # word: annotations that contain it
    times: Counter[str] = Counter()  # normalized annotation: occurrences
    neurons_with: Counter[str] = Counter()  # normalized annotation: neurons
    repeating = 0
    for key, texts in zip(keys, annotations, strict=True):
        own: Counter[str] = Counter()
        for text in texts:
            kind = junk_kind(text)
            if kind is not None:
                junk[kind].count += 1
                if len(junk[kind].examples) < EXAMPLES:
                    example = AnnotationExample(**key._asdict(), text=shown(text))
                    junk[kind].examples.append(example)
            if kind == "empty":
                continue
            words = compound_words(text)
            lengths[len(words)] += 1
            tokens += len(words)
            containing.update(set(words))
            own[normalize(text)] += 1
        times.update(own)
        neurons_with.update(own.keys())
        repeating += any(occurrences > 1 for occurrences in own.values())
    values = np.fromiter(lengths.elements(), dtype=np.int64)
    frequent = sorted(times.items(), key=lambda item: (-item[1], item[0]))[:MOST_FREQUENT]
    return TextMeasures(
        words=tokens,
        vocabulary=len(containing),
        once=sum(1 for number in containing.values() if number == 1),
        lengths=dict(sorted(lengths.items())),
        mean=float(values.mean()) if values.size else None,
        median=float(np.median(values)) if values.size else None,
        p95=float(np.percentile(values, 95)) if values.size else None,
        longest=int(values.max()) if values.size else None,
        distinct=len(times),
        repeating_neurons=repeating,
        shared=sum(number for text, number in times.items() if neurons_with[text] > 1),
        frequent=[FrequentAnnotation(text=shown(text), count=number) for text, number in frequent],
        junk=junk,
        growth=vocabulary_growth(containing.values(), sum(lengths.values())),
    )


def vocabulary_growth(containing: Iterable[int], annotations: int) -> list[tuple[int, float]]:
    """Return the expected number of distinct words in smaller numbers of annotations.

    The mean over all subsets of n of the N annotations is exact: a word that f annotations
    contain is missing from a share C(N − f, n) / C(N, n) of the subsets (rarefaction: Hurlbert,
    Ecology 52, 1971).

    Args:
        containing: For each word, the number of annotations that contain it, 1 to N.
        annotations: The number of annotations N.

    Returns:
        Pairs (n, words), n ascending to N.

    >>> [(n, round(words, 2)) for n, words in vocabulary_growth([1, 2], 2)]
    [(1, 1.5), (2, 2.0)]
    """
    by_number = Counter(containing)
    number = np.array(list(by_number), dtype=np.float64)
    words = np.array(list(by_number.values()), dtype=np.float64)
    points = np.linspace(0, annotations, _GROWTH_POINTS + 1).round().astype(int)
    growth = []
    for n in sorted({int(point) for point in points} - {0}):
        others = np.maximum(annotations - number, n)  # if fewer than n, no word is missing
        missing = np.exp(
            gammaln(others + 1)
            - gammaln(others - n + 1)
            - gammaln(annotations + 1)
            + gammaln(annotations - n + 1)
        )
        missing = np.where(annotations - number < n, 0.0, missing)
        growth.append((n, float((words * (1 - missing)).sum())))
    return growth
