"""BERTScore, with the configuration of the MILAN paper as its default."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version

import bert_score
import numpy as np
import torch
from bert_score.utils import model2layers
from transformers import AutoConfig

from benchmark.encoders import DEFAULT_BERTSCORE_ENCODER, cannot_load, resolve_encoder
from benchmark.metrics.base import Floats, MeanMetric, Predictions, Problem
from benchmark.result import Metric as MetricFacts


class BertScore(MeanMetric):
    """Best F1 over the references (Zhang et al., ICLR 2020), averaged over neurons and folds.

    Idf weights come from all references of the split. With roberta-large, scores are rescaled by
    bert_score's English baseline, as in the MILAN paper; other encoders have no baseline file,
    and their raw F1 is another metric with another signature.

    Args:
        encoder: See ``benchmark.encoders``.
        device: Where the encoder runs.
        batch_size: Sentences per forward pass.
    """

    name = "bertscore"
    facts = MetricFacts(
        title="BERTScore F1", description="similarity to the best reference in an encoder's space"
    )

    def __init__(
        self,
        encoder: str = DEFAULT_BERTSCORE_ENCODER,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        self._encoder = resolve_encoder(encoder)
        self._device = str(device)
        self._batch_size = batch_size
        self._rescale = self._encoder.location == DEFAULT_BERTSCORE_ENCODER
        try:
            # The layer bert_score's authors chose, or else the one before the last, which is
            # where that choice falls for most encoders.
            self._layer = model2layers.get(self._encoder.location) or (
                AutoConfig.from_pretrained(self._encoder.location).num_hidden_layers - 1
            )
            self._scorer = bert_score.BERTScorer(
                model_type=self._encoder.location,
                num_layers=self._layer,
                lang="en",
                idf=True,
                nthreads=0,
                rescale_with_baseline=self._rescale,
                batch_size=batch_size,
                device=self._device,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise cannot_load(self._encoder, error) from error

    @property
    def signature(self) -> str:
        """Encoder, layer, idf and rescaling."""
        return (
            f"bertscore-f1|encoder:{self._encoder.label}|layer:{self._layer}|idf:references|"
            f"rescaled:{'yes' if self._rescale else 'no'}|bert-score:{version('bert-score')}"
        )

    def statistics(self, problem: Problem, methods: Mapping[str, Predictions]) -> dict[str, Floats]:
        """Score every distinct pair of sentences once, then take the best reference."""
        pairs: dict[tuple[str, str], int] = {}
        for predictions in methods.values():
            for fold, texts in zip(problem.folds, predictions, strict=True):
                for text, references in zip(texts, fold.references, strict=True):
                    for reference in references:
                        pairs.setdefault((text, reference), len(pairs))
        f1 = self._f1(list(pairs), problem)
        found = {}
        for name, predictions in methods.items():
            sums = np.zeros((problem.neurons, 2))
            for fold, texts in zip(problem.folds, predictions, strict=True):
                for i, (text, references) in enumerate(zip(texts, fold.references, strict=True)):
                    sums[i] += max(f1[pairs[text, reference]] for reference in references), 1
            found[name] = sums
        return found

    def _f1(self, pairs: list[tuple[str, str]], problem: Problem) -> Floats:
        if not pairs:
            return np.zeros(0)
        # bert_score warns that it replaces another split's weights, and about empty candidates,
        # which score zero.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            self._scorer.compute_idf(_each_once(problem))
            _, _, f1 = self._scorer.score(
                [text for text, _ in pairs],
                [reference for _, reference in pairs],
                batch_size=self._batch_size,
            )
        return np.asarray(f1.double().numpy())


def _each_once(problem: Problem) -> list[str]:
    """Return every reference of the split once, though it stands in several folds."""
    counts = [Counter[str]() for _ in range(problem.neurons)]
    for fold in problem.folds:
        for count, references in zip(counts, fold.references, strict=True):
            count |= Counter(references)
    return [text for count in counts for text in count.elements()]
