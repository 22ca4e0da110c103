"""ROUGE-L: the longest common subsequence of words."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from benchmark.metrics.base import Floats, Integers, PairMetric, Problem
from benchmark.metrics.modules import EvaluateModule
from benchmark.result import Metric as MetricFacts


class RougeL(PairMetric):
    """ROUGE-L F-measure with the best reference (Lin, 2004), averaged over neurons and folds.

    Scores are rouge_score's own, with its tokenizer and Porter stemmer.
    """

    name = "rouge-l"
    facts = MetricFacts(
        title="ROUGE-L", description="longest common subsequence with the best reference"
    )

    def __init__(self) -> None:
        self._scorer = RougeScorer(["rougeL"], use_stemmer=True)

    @property
    def signature(self) -> str:
        """Variant, stemming and version."""
        return f"rouge-l-f1|refs:best|stem:porter|rouge-score:{version('rouge-score')}"

    def scores(
        self, sentences: Sequence[str], texts: Integers, references: Integers, problem: Problem
    ) -> Floats:
        """Return the F-measure of each pair."""
        return np.array(
            [
                self._scorer.score(sentences[r], sentences[t])["rougeL"].fmeasure
                for t, r in zip(texts, references, strict=True)
            ]
        )


class Evaluate(EvaluateModule):
    """ROUGE-L as a module of Hugging Face's evaluate."""

    metric = RougeL
