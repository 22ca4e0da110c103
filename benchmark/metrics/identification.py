"""Identification: does a description fit its own neuron better than the others of its layer?"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmark.encoders import DEFAULT_SENTENCE_ENCODER, cannot_load, resolve_encoder
from benchmark.metrics.base import Floats, MeanMetric, Predictions, Problem
from benchmark.result import Metric as MetricFacts


class Identification(MeanMetric):
    """Area under the ROC curve of telling a neuron from the others of its layer by its words.

    The fit of description *d* to a neuron is its mean cosine similarity with the neuron's
    references in a sentence encoder's space. A neuron's value is the share of the other neurons
    of its layer that its description fits less well than itself, ties counting one half. All
    others are distractors, so no sampling is involved, and any constant gets exactly 0.5 in
    every layer: each pair of neurons is won once and lost once.

    Neurons that are alone in their layer have no value.

    Args:
        encoder: See ``benchmark.encoders``.
        device: Where the encoder runs.
        batch_size: Sentences per forward pass.
    """

    name = "identification"
    facts = MetricFacts(
        title="Identification AUC",
        chance=0.5,
        description="share of the layer's other neurons that the description fits less well",
    )

    def __init__(
        self,
        encoder: str = DEFAULT_SENTENCE_ENCODER,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        self._encoder = resolve_encoder(encoder)
        self._batch_size = batch_size
        try:
            self._model = SentenceTransformer(self._encoder.location, device=str(device))
        except (OSError, ValueError, RuntimeError) as error:
            raise cannot_load(self._encoder, error) from error

    @property
    def signature(self) -> str:
        """Encoder, similarity and distractors."""
        return (
            f"identification-auc|encoder:{self._encoder.label}|similarity:mean-cosine|"
            f"distractors:layer|sentence-transformers:{version('sentence-transformers')}"
        )

    def statistics(self, problem: Problem, methods: Mapping[str, Predictions]) -> dict[str, Floats]:
        """Return each neuron's summed AUC over folds, and the number of folds."""
        sentences: dict[str, int] = {}
        for fold in problem.folds:
            for references in fold.references:
                for text in references:
                    sentences.setdefault(text, len(sentences))
        for predictions in methods.values():
            for texts in predictions:
                for text in texts:
                    sentences.setdefault(text, len(sentences))
        vectors = self._embed(list(sentences))
        layers: dict[str, list[int]] = {}
        for neuron, group in enumerate(problem.groups):
            layers.setdefault(group, []).append(neuron)
        found = {name: np.zeros((problem.neurons, 2)) for name in methods}
        for number, fold in enumerate(problem.folds):
            centres = np.stack(
                [vectors[[sentences[t] for t in texts]].mean(0) for texts in fold.references]
            )
            for members in layers.values():
                if len(members) < 2:
                    continue
                for name, predictions in methods.items():
                    rows = [sentences[predictions[number][i]] for i in members]
                    found[name][members, 0] += _auc(vectors, rows, centres[members])
                    found[name][members, 1] += 1
        return found

    def _embed(self, sentences: list[str]) -> Floats:
        vectors = self._model.encode(
            sentences,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float64)


def _auc(vectors: Floats, rows: list[int], centres: Floats) -> Floats:
    """Return each description's AUC at finding its own centre among all of them."""
    # Descriptions that are equal must give equal similarities to the last bit, so each distinct
    # one is multiplied once.
    distinct, inverse = np.unique(rows, return_inverse=True)
    similarity = (vectors[distinct] @ centres.T)[inverse]
    own = similarity.diagonal()[:, None]
    wins = (own > similarity).sum(1) + 0.5 * ((own == similarity).sum(1) - 1)
    return np.asarray(wins / (len(rows) - 1))
