"""ROUGE with the best reference: shared words, shared pairs of words, longest subsequence."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from benchmark.metrics.base import Floats, Integers, PairMetric, Problem
from benchmark.metrics.modules import EvaluateModule
from benchmark.result import Metric as MetricFacts

Variant = Literal["1", "2", "l"]
SHARED = {"1": "words", "2": "pairs of words", "l": "longest common subsequence"}


class Rouge(PairMetric):
    """ROUGE F-measure with the best reference (Lin, 2004), averaged over neurons and folds.

    Scores are rouge_score's own, with its tokenizer and Porter stemmer. Mean values over all
    references, as the MILAN paper's code reports them, are ``benchmark.metrics.rouge_pairs``.

    Args:
        variant: ``1`` and ``2`` compare words and pairs of words, ``l`` the longest common
            subsequence.
    """

    bounds = (0.0, 1.0)

    def __init__(self, variant: Variant = "l") -> None:
        self._kind = f"rouge{variant.upper()}"
        self._scorer = RougeScorer([self._kind], use_stemmer=True)
        self.name = f"rouge-{variant}"
        self.facts = MetricFacts(
            title=f"ROUGE-{variant.upper()}",
            description=f"{SHARED[variant]} {'' if variant == 'l' else 'shared '}"
            "with the best reference",
        )

    @property
    def signature(self) -> str:
        """Variant, stemming and version."""
        return f"{self.name}-f1|refs:best|stem:porter|rouge-score:{version('rouge-score')}"

    def scores(
        self, sentences: Sequence[str], texts: Integers, references: Integers, problem: Problem
    ) -> Floats:
        """Return the F-measure of each pair."""
        return np.array(
            [
                self._scorer.score(sentences[r], sentences[t])[self._kind].fmeasure
                for t, r in zip(texts, references, strict=True)
            ]
        )


class RougeL(Rouge):
    """ROUGE-L: the longest common subsequence of words."""

    def __init__(self) -> None:
        super().__init__("l")


class Evaluate(EvaluateModule):
    """ROUGE-L as a module of Hugging Face's evaluate."""

    metric = RougeL
