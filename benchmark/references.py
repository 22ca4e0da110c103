"""Holding out one annotator, so that people and machines are scored on equal terms.

A person can only be scored against the other people's annotations of the same neuron. So that
every method faces the same number of references, *all* methods are scored against references
from which one annotation is held out, each annotation in turn; a fold is one such turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.text import normalize

RULE = "leave one annotation out, each in turn"


@dataclass(frozen=True)
class Fold:
    """One turn of holding out an annotation.

    Attributes:
        held_out: The annotation held out, one per neuron, as it was written.
        references: The others, normalized, one non-empty list per neuron.
    """

    held_out: list[str]
    references: list[list[str]]


def usable(annotations: Sequence[str]) -> list[str]:
    """Return the annotations that are not empty after normalization.

    >>> usable(["a dog", " . ", ""])
    ['a dog']
    """
    return [text for text in annotations if normalize(text)]


def scorable(annotations: Sequence[Sequence[str]]) -> list[int]:
    """Return the positions of the neurons with at least two usable annotations."""
    return [i for i, texts in enumerate(annotations) if len(usable(texts)) >= 2]


def leave_one_out(annotations: Sequence[Sequence[str]]) -> list[Fold]:
    """Hold out each annotation in turn.

    Args:
        annotations: Two or more usable annotations of each neuron; the numbers may differ. There
            are as many folds as the most there are, and neurons with fewer begin again.

    Raises:
        ValueError: If a neuron has fewer than two.

    >>> leave_one_out([["a", "b", "c"]])[1]
    Fold(held_out=['b'], references=[['a', 'c']])
    """
    texts = [usable(t) for t in annotations]
    if any(len(t) < 2 for t in texts):
        raise ValueError("every neuron needs two annotations or more; see scorable()")
    folds = []
    for turn in range(max((len(t) for t in texts), default=0)):
        out = [turn % len(t) for t in texts]
        folds.append(
            Fold(
                held_out=[t[o] for t, o in zip(texts, out, strict=True)],
                references=[
                    [normalize(r) for i, r in enumerate(t) if i != o]
                    for t, o in zip(texts, out, strict=True)
                ],
            )
        )
    return folds
