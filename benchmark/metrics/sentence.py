"""Sentence similarity: cosines in a sentence encoder's space."""

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

_KEPT = 200_000  # sentences whose vectors are kept, 300 MB of MiniLM's
_ROWS = 65_536  # pairs at once


class SentenceEncoder:
    """A sentence encoder that keeps what it has encoded.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: Where it runs.
        batch_size: Sentences per forward pass.

    Raises:
        InputError: If it cannot be loaded.
    """

    def __init__(
        self,
        encoder: str = DEFAULT_SENTENCE_ENCODER,
        device: torch.device | str = "cpu",
        batch_size: int = 64,
    ) -> None:
        found = resolve_encoder(encoder)
        self.label = found.label
        self._batch_size = batch_size
        self._kept: dict[str, Floats] = {}
        try:
            check_model_folder(Path(found.location))
            with from_hub(found.location):
                self._model = SentenceTransformer(found.location, device=str(device))
            check_encoder(self._model, self._model.tokenizer)
            self.encode([TRIAL])
        except Exception as error:  # transformers and tokenizers raise whatever comes of a file
            raise cannot_load(found, error) from error
        self._kept.clear()

    @property
    def signature(self) -> str:
        """Encoder, version and how text is read, as a part of signatures."""
        library = f"sentence-transformers:{version('sentence-transformers')}"
        return f"encoder:{self.label}|{library}|{FORM}|empty:0"

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return vectors of length 1, shape (sentences, width); equal ones for equal sentences.

        A sentence without text has a vector of zeros: it is like no sentence and unlike none.
        """
        new = [text for text in dict.fromkeys(sentences) if text not in self._kept]
        if len(self._kept) + len(new) > _KEPT:
            self._kept.clear()
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
            self._kept.update(zip(new, encoded, strict=True))
        return np.stack([self._kept[text] for text in sentences]) if sentences else np.zeros((0, 1))


def sentence_encoder(encoder: str, device: str) -> SentenceEncoder:
    """Return an encoder that all metrics of a run share."""
    # By its label, too: a folder may hold another encoder than it held before.
    return _loaded(encoder, resolve_encoder(encoder).label, device)


@lru_cache(maxsize=2)
def _loaded(encoder: str, label: str, device: str) -> SentenceEncoder:
    del label
    return SentenceEncoder(encoder, device)


class SentenceSimilarity(PairMetric):
    """Mean cosine similarity with the references in a sentence encoder's space.

    The metric of works that report cosine similarity of embeddings. A constant wins it on real
    annotations; it is here to be compared with.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: Where the encoder runs.
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
        """Encoder and version."""
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
        starts = range(0, len(predictions), _ROWS)
        parts = [
            np.einsum(
                "pw,pw->p", vectors[predictions[i : i + _ROWS]], vectors[targets[i : i + _ROWS]]
            )
            for i in starts
        ]
        # Vectors of 32-bit numbers are of length 1 but for rounding.
        return np.clip(np.concatenate(parts), *self.bounds) if parts else np.zeros(0)


Evaluate = evaluate_module(__name__, SentenceSimilarity)
