"""ROUGE as the MILAN paper's code reports it: the mean over (description, reference) pairs.

That code uses the package ``rouge`` 1.0.1 (pltrdy/rouge), whose scores differ from those of
rouge_score: each n-gram counts once however often it occurs, words are separated by spaces alone,
and there is no stemming. The package is no longer maintained, so its scores are computed here,
equal to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.metrics.rouge import SHARED, Variant
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, spaced

Statistic = Literal["f1", "precision", "recall"]
_EPSILON = 1e-8  # the package adds it to the denominator of F1

Words = tuple[str, ...]


class RougePairs(PairMetric):
    """ROUGE (Lin, 2004), averaged over pairs of a description and one of its references.

    A neuron with more references weighs more, as in the original code. Pairs with an empty text are
    left out. ROUGE-L is the summary-level variant: texts are split into sentences at full stops,
    and the union of the sentences' subsequences counts. Each character of a script without spaces
    is a word (``benchmark.tokenization.spaced``).

    Args:
        variant: See ``benchmark.metrics.rouge.Rouge``.
        statistic: ``f1``, or the ``precision`` or ``recall`` from which F1 is computed.

    >>> round(RougePairs("1")(["a red dog"], [["a dog on red grass", "dogs"]]), 3)
    0.375
    """

    over = "pairs"
    bounds = BOUNDS["rouge-l-pairs"]

    def __init__(self, variant: Variant = "l", statistic: Statistic = "f1") -> None:
        self._variant = variant
        self._statistic = statistic
        suffix = "" if statistic == "f1" else f"-{statistic}"
        self.name = f"rouge-{variant}-pairs{suffix}"
        self.info = MetricInfo(
            title=f"ROUGE-{variant.upper()} over pairs" + suffix.replace("-", ", "),
            description=f"{SHARED[variant]}, mean over descriptions and references",
        )

    @property
    def signature(self) -> str:
        """Variant, statistic and tokenizer."""
        return (
            f"rouge-{self._variant}-{self._statistic}|refs:pairs|ngrams:distinct|tok:space+unspaced|"
            f"as:rouge-1.0.1|{FORM}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return the score of each pair; NaN if one of the texts is empty."""
        split = [_sentences(spaced(text)) for text in sentences]
        score = cache(lambda text, reference: self._score(split[text], split[reference]))
        pairs = zip(predictions.tolist(), targets.tolist(), strict=True)
        return np.array([score(text, reference) for text, reference in pairs])

    def _score(self, text: Sequence[Words], reference: Sequence[Words]) -> float:
        if not text or not reference:
            return float("nan")
        if self._variant == "l":
            shared = _shared_subsequence(text, reference)
            sizes = [len({word for words in side for word in words}) for side in (text, reference)]
        else:
            text_ngrams, reference_ngrams = (
                _ngrams(side, int(self._variant)) for side in (text, reference)
            )
            shared, sizes = (
                len(text_ngrams & reference_ngrams),
                [len(text_ngrams), len(reference_ngrams)],
            )
        precision, recall = (shared / size if size else 0.0 for size in sizes)
        if self._statistic == "precision":
            return precision
        if self._statistic == "recall":
            return recall
        return 2 * (precision * recall / (precision + recall + _EPSILON))


def _sentences(text: str) -> list[Words]:
    """Split a text at full stops, and sentences at spaces; an empty sentence is one empty word."""
    return [
        tuple(" ".join(sentence.split()).split(" ")) for sentence in text.split(".") if sentence
    ]


def _ngrams(sentences: Sequence[Words], order: int) -> set[Words]:
    """Return the distinct n-grams of a text; n-grams may cross the ends of sentences."""
    words = tuple(word for sentence in sentences for word in sentence)
    return {words[i : i + order] for i in range(len(words) - order + 1)}


def _shared_subsequence(text: Sequence[Words], reference: Sequence[Words]) -> int:
    """Return the number of distinct words in the common subsequences of all pairs of sentences."""
    return len({word for r in reference for t in text for word in _subsequence(r, t)})


def _subsequence(reference: Words, text: Words) -> list[str]:
    """Return the longest common subsequence; of several, the one that the package returns.

    The table is traced back from both ends; on ties, a word of the text is skipped.
    """
    rows, columns = len(reference), len(text)
    length = np.zeros((rows + 1, columns + 1), dtype=int)
    for i, word in enumerate(reference, 1):
        for j, other in enumerate(text, 1):
            length[i, j] = (
                length[i - 1, j - 1] + 1
                if word == other
                else max(length[i - 1, j], length[i, j - 1])
            )
    shared = []
    i, j = rows, columns
    while i and j:
        if reference[i - 1] == text[j - 1]:
            shared.append(reference[i - 1])
            i, j = i - 1, j - 1
        elif length[i - 1, j] > length[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return shared


Evaluate = evaluate_module(__name__, RougePairs)
