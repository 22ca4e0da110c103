"""BLEU: sacrebleu's corpus BLEU, with as many references as each neuron has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sacrebleu.metrics import BLEU

from benchmark.metrics.base import Floats, Metric, Predictions, Problem
from benchmark.result import Metric as MetricFacts

_ORDER = 4


class Bleu(Metric):
    """Corpus BLEU on sacrebleu's scale from 0 to 100 (Papineni et al., 2002; Post, 2018).

    The corpus of a method is every neuron in every fold. A neuron's own value is its sentence
    BLEU with sacrebleu's exponential smoothing and effective order.
    """

    name = "bleu"
    facts = MetricFacts(title="BLEU", description="n-gram overlap with the references, 0 to 100")

    def __init__(self) -> None:
        self._bleu = BLEU(effective_order=True)

    @property
    def signature(self) -> str:
        """sacrebleu's own settings; the number of references varies by neuron."""
        return (
            f"bleu|refs:var|case:lc|tok:{self._bleu.trg_lang or '13a'}|smooth:exp|"
            f"sacrebleu:{_version()}"
        )

    def statistics(self, problem: Problem, methods: Mapping[str, Predictions]) -> dict[str, Floats]:
        """Return clipped matches and totals of 1- to 4-grams, and both lengths: 10 numbers."""
        cache: dict[tuple[str, tuple[str, ...]], Floats] = {}

        def of(prediction: str, references: tuple[str, ...]) -> Floats:
            key = (prediction, references)
            if key not in cache:
                score = self._bleu.sentence_score(prediction, list(references))
                cache[key] = np.array(
                    [*score.counts, *score.totals, score.sys_len, score.ref_len], dtype=np.float64
                )
            return cache[key]

        found = {}
        for name, predictions in methods.items():
            sums = np.zeros((problem.neurons, 2 * _ORDER + 2))
            for fold, texts in zip(problem.folds, predictions, strict=True):
                for i, (text, references) in enumerate(zip(texts, fold.references, strict=True)):
                    sums[i] += of(text, tuple(references))
            found[name] = sums
        return found

    def aggregate(self, sums: Floats) -> Floats:
        """Return corpus BLEU, as sacrebleu computes it from summed statistics."""
        rows = sums.reshape(-1, sums.shape[-1])
        values = [_compute(row, effective_order=False) for row in rows]
        return np.array(values).reshape(sums.shape[:-1])

    def per_neuron(self, statistics: Floats) -> Floats:
        """Return sentence BLEU of each neuron over its folds."""
        return np.array([_compute(row, effective_order=True) for row in statistics])


def _compute(row: Floats, effective_order: bool) -> float:
    return float(
        BLEU.compute_bleu(
            correct=row[:_ORDER].round().astype(int).tolist(),
            total=row[_ORDER : 2 * _ORDER].round().astype(int).tolist(),
            sys_len=round(row[-2]),
            ref_len=round(row[-1]),
            smooth_method="exp",
            effective_order=effective_order,
        ).score
    )


def _version() -> str:
    from importlib.metadata import version

    return version("sacrebleu")
