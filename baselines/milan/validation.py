"""Descriptions of held-out neurons during training, and their quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU

from baselines.milan.decoding import Decoding
from baselines.milan.examples import ExampleSubset
from baselines.milan.model import Milan
from benchmark.tokenization import normalize

GREEDY = Decoding(strategy="greedy", pmi=0)


def greedy_descriptions(model: Milan, rows: ExampleSubset, batch_size: int = 64) -> list[str]:
    """Return greedy descriptions of neurons without PMI, normalized as for scoring."""
    descriptions: list[str] = []
    for first in range(0, len(rows.rows), batch_size):
        features = rows.examples.features[rows.rows[first : first + batch_size]]
        tokens = model.search(features, GREEDY).tokens[:, 0].tolist()
        descriptions += [normalize(model.vocabulary.decode(numbers)) for numbers in tokens]
    return descriptions


def validation_bleu(model: Milan, rows: ExampleSubset, batch_size: int = 64) -> float:
    """Return corpus BLEU (0 to 100) of greedy descriptions, without PMI, of held-out neurons."""
    most = max(len(texts) for texts in rows.texts)
    # None where a neuron has fewer references than another, as sacrebleu allows.
    references: Any = [
        [normalize(texts[i]) if i < len(texts) else None for texts in rows.texts]
        for i in range(most)
    ]
    descriptions = greedy_descriptions(model, rows, batch_size)
    return float(BLEU().corpus_score(descriptions, references).score)


def degenerate(descriptions: Sequence[str], references: Sequence[Sequence[str]]) -> str | None:
    """Return a warning if descriptions do not distinguish neurons; None if they do.

    That is so if they contain fewer than two distinct sentences or words. There is no warning for a
    single neuron.

    Args:
        descriptions: One description per held-out neuron.
        references: Their annotations.

    >>> degenerate(["dogs", "cats"], [["dogs"], ["cats"]])
    >>> degenerate(["dogs", "dogs"], [["dogs"], ["dogs"]])[-56:]
    'annotations say no more; give it annotations that differ'
    >>> degenerate(["dogs", "dogs"], [["dogs"], ["cats"]])[:55]
    "the model says 'dogs' of all 2 held-out neurons: it has"
    """
    words = {word for text in descriptions for word in text.split()}
    if len(descriptions) < 2 or (len(set(descriptions)) > 1 and len(words) > 1):
        return None
    count = len(descriptions)
    if len(set(descriptions)) > 1:
        finding = f"the only word the model says of {count} held-out neurons is {min(words)!r}"
    else:
        finding = f"the model says {descriptions[0][:60]!r} of all {count} held-out neurons"
    if len({normalize(text) for texts in references for text in texts}) < 2:
        return f"{finding}, and their annotations say no more; give it annotations that differ"
    return (
        f"{finding}: it has not learnt to tell neurons apart. Train it on more annotated neurons, "
        "in more steps (a smaller batch_size, more epochs and patience), or with another "
        "learning_rate"
    )
