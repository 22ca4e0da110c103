"""BLEU: sacrebleu's corpus BLEU, where each neuron may have its own number of references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.helpers import extract_all_word_ngrams
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from benchmark.metrics.base import Floats, Metric, PredictionsByFold, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, spaced
from milannotations.errors import InputError

ORDERS = (1, 2, 3, 4)


class Bleu(Metric):
    """Corpus BLEU on sacrebleu's scale from 0 to 100 (Papineni et al., 2002; Post, 2018).

    The corpus of a method is its description of every neuron in every fold. A neuron's own value is
    its sentence BLEU with sacrebleu's exponential smoothing and effective order. Words are those of
    sacrebleu's tokenizer 13a; each character of a script without spaces is a word
    (``benchmark.tokenization.spaced``).

    Args:
        order: Length of the longest n-grams, 1 to 4; "BLEU" alone means BLEU-4.

    Raises:
        InputError: If the order is not between 1 and 4.

    >>> round(Bleu()(["a red dog on the grass"], [["a red dog on green grass", "dogs"]]), 2)
    53.73
    """

    name = "bleu"
    bounds = BOUNDS["bleu"]
    info = MetricInfo(title="BLEU", description="n-gram overlap with the references, 0 to 100")

    def __init__(self, order: int = 4) -> None:
        if order not in ORDERS:
            raise InputError(f"BLEU-{order}; the order is one of {', '.join(map(str, ORDERS))}")
        self._order = order
        self._tokenize = Tokenizer13a()
        if order != ORDERS[-1]:
            self.name = f"bleu-{order}"
            self.info = MetricInfo(
                title=f"BLEU-{order}",
                description=f"overlap of up to {order}-grams with the references, 0 to 100",
            )

    @property
    def signature(self) -> str:
        """sacrebleu's settings and how text is read; the number of references varies by neuron."""
        order = "" if self._order == ORDERS[-1] else f"n:{self._order}|"
        return (
            f"bleu|{order}refs:var|case:lc|tok:13a+unspaced|smooth:exp|{FORM}|"
            f"sacrebleu:{version('sacrebleu')}"
        )

    def statistics(
        self, references: References, predictions: Mapping[str, PredictionsByFold]
    ) -> dict[str, Floats]:
        """Return clipped matches and totals for each n, and both lengths, summed over folds."""
        # Unlike in sacrebleu, the n-grams of a sentence are counted once, however often it occurs.
        count = cache(self._count)
        merge = cache(lambda texts: _MergedReferences([count(text) for text in texts]))
        matches = cache(lambda text, texts: self._matches(count(text), merge(texts)))
        statistics = {}
        for name, by_fold in predictions.items():
            sums = np.zeros((references.neurons, 2 * self._order + 2))
            for fold, texts in zip(references.folds, by_fold, strict=True):
                sums += [
                    matches(text, tuple(own))
                    for text, own in zip(texts, fold.references, strict=True)
                ]
            statistics[name] = sums
        return statistics

    def _count(self, text: str) -> _NgramCounts:
        words = self._tokenize(spaced(text))
        return _NgramCounts(*extract_all_word_ngrams(words, 1, self._order))

    def _matches(self, text: _NgramCounts, references: _MergedReferences) -> list[int]:
        correct = [0] * self._order
        for ngram, count in text.ngrams.items():
            if ngram in references.max_counts:
                correct[len(ngram) - 1] += min(count, references.max_counts[ngram])
        total = [max(0, text.words - n) for n in range(self._order)]
        return [*correct, *total, text.words, references.closest(text.words)]

    def aggregate(self, sums: Floats) -> Floats:
        """Return corpus BLEU, which sacrebleu computes from summed statistics."""
        rows = sums.reshape(-1, sums.shape[-1])
        values = [self._compute(row, effective_order=False) for row in rows]
        return np.array(values).reshape(sums.shape[:-1])

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return sentence BLEU of each neuron over its folds."""
        return np.array([self._compute(row, effective_order=True) for row in statistics])

    def _compute(self, row: Floats, effective_order: bool) -> float:
        *counts, sys_len, ref_len = row.round().astype(int).tolist()
        return float(
            BLEU.compute_bleu(
                correct=counts[: self._order],
                total=counts[self._order :],
                sys_len=sys_len,
                ref_len=ref_len,
                smooth_method="exp",
                effective_order=effective_order,
                max_ngram_order=self._order,
            ).score
        )


class _NgramCounts(NamedTuple):
    """A sentence's n-grams with their counts, and its length in words."""

    ngrams: Counter[tuple[str, ...]]
    words: int


class _MergedReferences:
    """The references of one neuron: the maximum count of each n-gram, and the lengths."""

    def __init__(self, references: Sequence[_NgramCounts]) -> None:
        self.max_counts: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            self.max_counts |= reference.ngrams
        self._lengths = [reference.words for reference in references]

    def closest(self, words: int) -> int:
        """Return the length closest to that of a description; of two equally close, the shorter."""
        return min(self._lengths, key=lambda length: (abs(length - words), length))


Evaluate = evaluate_module(__name__, Bleu)
