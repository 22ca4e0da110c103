"""Sentence similarity: the cosine of sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.text_encoders import (
    DEFAULT_SENTENCE_ENCODER,
    TRIAL,
    cannot_load,
    check_encoder,
    resolve_encoder,
)
from benchmark.tokenization import FORM
from milannotations.errors import InputError
from milannotations.hub_access import from_hub
from milannotations.pretrained import check_model_folder

_CACHED_SENTENCES = 200_000  # whose vectors stay in memory: 300 MB for MiniLM
_BATCH_PAIRS = 65_536  # scored at once


class SentenceEncoder:
    """A sentence encoder with a cache of the sentences it has encoded.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: The device on which it runs.
        batch_size: Sentences per forward pass.

    Raises:
        InputError: If it cannot be loaded.

    >>> SentenceEncoder("packaged/all-MiniLM-L6-v2").encode(["a red dog", "wheels"]).shape
    (2, 384)
    """

    def __init__(
        self,
        encoder: str = DEFAULT_SENTENCE_ENCODER,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        resolved = resolve_encoder(encoder)
        self.label = resolved.label
        self._batch_size = batch_size
        self._cache: dict[str, Floats] = {}
        try:
            check_model_folder(Path(resolved.location))
            with from_hub(resolved.location):
                self._model = SentenceTransformer(resolved.location, device=str(device))
            check_encoder(self._model, self._model.tokenizer)
            self.encode([TRIAL])
        except Exception as error:  # a damaged file makes transformers raise anything
            raise cannot_load(resolved, error) from error
        self._cache.clear()

    @property
    def signature(self) -> str:
        """Encoder, version and normalization, as a part of signatures."""
        library = f"sentence-transformers:{version('sentence-transformers')}"
        return f"encoder:{self.label}|{library}|{FORM}|empty:0"

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return unit vectors, shape (sentences, width); equal sentences get equal vectors.

        An empty sentence gets a vector of zeros: its similarity to every sentence is 0.

        Raises:
            InputError: If the encoder returns NaN or infinity.
        """
        new = [text for text in dict.fromkeys(sentences) if text not in self._cache]
        if len(self._cache) + len(new) > _CACHED_SENTENCES:
            self._cache.clear()
            new = list(dict.fromkeys(sentences))
        if new:
            vectors = self._model.encode(
                new,
                batch_size=self._batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
            encoded = np.asarray(vectors, dtype=np.float64)
            if not np.isfinite(encoded).all():
                raise InputError(f"encoder {self.label!r} gives NaN; its weights are not sound")
            encoded[[not text.strip() for text in new]] = 0.0
            self._cache.update(zip(new, encoded, strict=True))
        return (
            np.stack([self._cache[text] for text in sentences]) if sentences else np.zeros((0, 1))
        )


def sentence_encoder(encoder: str, device: str) -> SentenceEncoder:
    """Return an encoder that all metrics of a run share."""
    # The label is a part of the cache's key because a folder's content may have changed.
    return _loaded(encoder, resolve_encoder(encoder).label, device)


@lru_cache(maxsize=2)
def _loaded(encoder: str, label: str, device: str) -> SentenceEncoder:
    del label
    return SentenceEncoder(encoder, device)


class SentenceSimilarity(PairMetric):
    """Mean cosine similarity of sentence embeddings of the description and the references.

    Many papers report this metric. On real annotations a constant description scores highest; the
    metric is included for comparison.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: The device on which the encoder runs.

    >>> metric = SentenceSimilarity("packaged/all-MiniLM-L6-v2")
    >>> round(metric(["a red dog", "wheels"], [["a red dog on grass"], ["wheels"]]), 2)
    0.9
    """

    name = "similarity"
    over = "mean"
    bounds = BOUNDS["similarity"]
    info = MetricInfo(title="Sentence similarity", description="mean cosine of sentence embeddings")

    def __init__(
        self,
        encoder: str = DEFAULT_SENTENCE_ENCODER,
        device: torch.device | str = "cpu",
    ) -> None:
        self._encoder = sentence_encoder(encoder, str(device))

    @property
    def signature(self) -> str:
        """Encoder, version and normalization."""
        return f"similarity|refs:mean|{self._encoder.signature}"

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return the cosine of each pair."""
        vectors = self._encoder.encode(sentences)
        starts = range(0, len(predictions), _BATCH_PAIRS)
        batches = [
            np.einsum(
                "pw,pw->p",
                vectors[predictions[i : i + _BATCH_PAIRS]],
                vectors[targets[i : i + _BATCH_PAIRS]],
            )
            for i in starts
        ]
        # The length of float32 vectors differs from 1 by rounding.
        return np.clip(np.concatenate(batches), *self.bounds) if batches else np.zeros(0)


Evaluate = evaluate_module(__name__, SentenceSimilarity)
