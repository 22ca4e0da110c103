"""Descriptions that are worse than a person's in a known way.

Each is made from the held-out annotation, so that the upper end of every metric's scale is the same
person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from spacy.lang.en.stop_words import STOP_WORDS

from benchmark.metrics.base import PredictionsByFold, References
from benchmark.tokenization import compound_words, normalize

LISTED = 200  # words in the list of all words; encoders truncate longer texts
_NEGATIONS = ("not {}", "no {}", "anything but {}")
_PARAPHRASES = ("something that shows {}", "{} can be seen here", "this looks like {}")


def human(references: References) -> list[list[str]]:
    """Return the annotation held out in each fold."""
    return [[normalize(text) for text in fold.held_out] for fold in references.folds]


def reassigned(references: References, seed: int, turn: int = 0) -> list[list[str]]:
    """Return annotations assigned to other neurons of the same layer: plausible, but wrong.

    No neuron of a layer of two or more keeps its own annotation. Different turns assign different
    annotations, until every neuron has had that of each other neuron of its layer.
    """

    def move(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(row))
        steps = 1 + rng.permutation(max(1, len(row) - 1))
        moved = row.copy()
        moved[order] = row[np.roll(order, steps[turn % len(steps)])]
        return moved

    order = _within_layers(references, move, seed)
    return [[texts[j] for j in order] for texts in human(references)]


def neighbour(references: References, seed: int) -> list[list[str]]:
    """Return the annotation of the next neuron of the layer."""
    order = _within_layers(references, lambda row, _: np.roll(row, 1), seed)
    return [[texts[j] for j in order] for texts in human(references)]


def truncated(references: References, seed: int) -> list[list[str]]:
    """Return the first half of each annotation's words, at least one."""
    return _each(human(references), _first_half)


def missing(references: References, seed: int) -> list[list[str]]:
    """Return annotations without a random half of their content words.

    This is the missing-labels test of Oikarinen et al. (ICML 2025), for words. At least one content
    word is kept, so an annotation with only one does not change.
    """
    rng = np.random.default_rng(seed)

    def change(text: str) -> str:
        words = text.split()
        content = [i for i, word in enumerate(words) if word not in STOP_WORDS]
        if len(content) < 2:
            return text
        removed = set(rng.choice(content, size=len(content) // 2, replace=False).tolist())
        return " ".join(word for i, word in enumerate(words) if i not in removed)

    return _each(human(references), change)


def extra(references: References, seed: int) -> list[list[str]]:
    """Return each annotation joined with that of another neuron of the layer.

    This is the extra-labels test of Oikarinen et al. (ICML 2025), for words: half of the
    description is true.
    """
    other = reassigned(references, seed)
    return [
        [f"{a} and {b}" for a, b in zip(own, others, strict=True)]
        for own, others in zip(human(references), other, strict=True)
    ]


def repeated(references: References, seed: int) -> list[list[str]]:
    """Return each annotation repeated three times."""
    return _each(human(references), lambda text: f"{text} {text} {text}")


def negated(references: References, seed: int) -> list[list[str]]:
    """Return annotations turned into their opposite."""
    return _framed(references, _NEGATIONS, seed)


def paraphrased(references: References, seed: int) -> list[list[str]]:
    """Return annotations in another phrase with the same meaning."""
    return _framed(references, _PARAPHRASES, seed)


def all_words(references: References, seed: int) -> list[list[str]]:
    """Return the list of the most frequent words of all references, for every neuron."""
    counts = vocabulary(references)
    listed = " ".join(word for word, _ in counts.most_common(LISTED))
    return [[listed] * references.neurons for _ in references.folds]


ADVERSARIES: dict[str, Callable[[References, int], PredictionsByFold]] = {
    "all-words": all_words,
    "neighbour": neighbour,
    "repeated": repeated,
    "truncated": truncated,
    "missing": missing,
    "extra": extra,
    "negated": negated,
    "paraphrased": paraphrased,
}


def vocabulary(references: References) -> Counter[str]:
    """Return the number of references in which each word occurs."""
    counts: Counter[str] = Counter()
    for texts in references.corpus:
        for text in texts:
            counts.update(set(compound_words(text)))
    return counts


def constants(references: References) -> list[str]:
    """Return every word and every sentence of the references, the most frequent first."""
    sentences = Counter(text for texts in references.corpus for text in texts)
    counts = vocabulary(references) | sentences
    return [text for text, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _within_layers(
    references: References,
    move: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    seed: int,
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers: dict[str, list[int]] = {}
    for neuron, group in enumerate(references.groups):
        layers.setdefault(group, []).append(neuron)
    order = np.arange(references.neurons)
    for members in layers.values():
        row = np.array(members)
        order[row] = move(row, rng)
    return order


def _framed(references: References, frames: Sequence[str], seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return _each(
        human(references), lambda text: frames[int(rng.integers(len(frames)))].format(text)
    )


def _first_half(text: str) -> str:
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _each(predictions: PredictionsByFold, change: Callable[[str], str]) -> list[list[str]]:
    return [[change(text) for text in texts] for texts in predictions]
