"""ROUGE with the best reference: shared words, shared bigrams, longest common subsequence."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import numpy as np
from nltk.stem import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.tokenization import FORM, words

Variant = Literal["1", "2", "l"]
SHARED = {"1": "words", "2": "pairs of words", "l": "longest common subsequence"}


class Rouge(PairMetric):
    """ROUGE F-measure with the best reference (Lin, 2004), averaged over neurons and folds.

    Scores are those of rouge_score with Porter's stemmer. The package's tokenizer drops every
    letter outside a-z; the tokenizer used here keeps the letters of all scripts, and gives the same
    words for ASCII text. The mean over all references, as reported by the MILAN paper's code, is
    ``benchmark.metrics.rouge_pairs``.

    Args:
        variant: ``1`` and ``2`` compare words and bigrams, ``l`` the longest common subsequence.

    >>> round(Rouge("1")(["a red dog"], [["a dog on red grass", "dogs"]]), 3)
    0.75
    """

    bounds = BOUNDS["rouge-l"]

    def __init__(self, variant: Variant = "l") -> None:
        self._kind = f"rouge{variant.upper()}"
        self._scorer = RougeScorer([self._kind], tokenizer=_AllScriptsTokenizer())
        self.name = f"rouge-{variant}"
        self.info = MetricInfo(
            title=f"ROUGE-{variant.upper()}",
            description=f"{SHARED[variant]} {'' if variant == 'l' else 'shared '}"
            "with the best reference",
        )

    @property
    def signature(self) -> str:
        """Variant, stemmer, tokenizer and version."""
        return (
            f"{self.name}-f1|refs:best|stem:porter|tok:letters|{FORM}|"
            f"rouge-score:{version('rouge-score')}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return the F-measure of each pair."""
        return np.array(
            [
                self._scorer.score(sentences[target], sentences[prediction])[self._kind].fmeasure
                for prediction, target in zip(predictions, targets, strict=True)
            ]
        )


class _AllScriptsTokenizer(Tokenizer):
    """Words of any script, stemmed as by rouge_score's own tokenizer."""

    def __init__(self) -> None:
        self._stemmer = PorterStemmer()

    def tokenize(self, text: str) -> list[str]:
        """Return the stems of a text's words."""
        # rouge_score does not stem words of up to three letters.
        return [self._stemmer.stem(word) if len(word) > 3 else word for word in words(text)]


class RougeL(Rouge):
    """ROUGE-L: the longest common subsequence of words.

    >>> round(RougeL()(["a red dog"], [["a dog on red grass", "dogs"]]), 3)
    0.5
    """

    def __init__(self) -> None:
        super().__init__("l")


Evaluate = evaluate_module(__name__, RougeL)
