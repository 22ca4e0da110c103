"""BERTScore, with the configuration of the MILAN paper as its default.

The model, the layer, the baseline and the tokenizer are bert_score's own. What is done here is what
takes the time: every distinct sentence is tokenized and encoded once, in batches of equal length
without padding, and pairs are matched in batches of equal lengths too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import bert_score
import numpy as np
import torch
from bert_score.utils import model2layers, sent_encode
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoConfig, GPT2Tokenizer, RobertaTokenizer

from benchmark.metrics.base import Floats, Integers, PairMetric, References
from benchmark.metrics.bounds import BOUNDS
from benchmark.metrics.evaluate_copies import evaluate_module
from benchmark.result import MetricInfo
from benchmark.text_encoders import (
    DEFAULT_BERTSCORE_ENCODER,
    TRIAL,
    cannot_load,
    check_encoder,
    resolve_encoder,
)
from benchmark.tokenization import FORM
from milannotations.hub_access import from_hub
from milannotations.pretrained import check_model_folder

_TOKENS = 2048  # in a batch that is encoded
_KEPT = 400_000  # words whose vectors are kept from call to call, 600 MB of MiniLM's
_CELLS = 2**22  # word similarities in a batch that is matched


class BertScore(PairMetric):
    """Best F1 over the references (Zhang et al., ICLR 2020), averaged over neurons and folds.

    Idf weights come from all references of the split. With roberta-large, scores are rescaled by
    bert_score's English baseline, as in the MILAN paper; other encoders have no baseline file,
    and their raw F1 is another metric with another signature.

    Where every reference holds all words of a sentence, idf gives them no weight, and bert_score
    itself scores 0, even for a description that equals its reference. Here such words weigh alike,
    as they do when every reference but one holds them all.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: Where the encoder runs.
    """

    name = "bertscore"
    bounds = BOUNDS["bertscore"]
    info = MetricInfo(
        title="BERTScore F1", description="similarity to the best reference in an encoder's space"
    )

    def __init__(
        self,
        encoder: str = DEFAULT_BERTSCORE_ENCODER,
        device: torch.device | str = "cpu",
    ) -> None:
        self._encoder = resolve_encoder(encoder)
        self._device = torch.device(device)
        self._rescale = self._encoder.location == DEFAULT_BERTSCORE_ENCODER
        try:
            check_model_folder(Path(self._encoder.location))
            with from_hub(self._encoder.location):
                # The layer bert_score's authors chose, or else the one before the last, which is
                # where that choice falls for most encoders.
                self._layer = model2layers.get(self._encoder.location) or (
                    AutoConfig.from_pretrained(self._encoder.location).num_hidden_layers - 1
                )
                self._scorer = bert_score.BERTScorer(
                    model_type=self._encoder.location,
                    num_layers=self._layer,
                    lang="en",
                    rescale_with_baseline=self._rescale,
                    device=str(self._device),
                )
            check_encoder(self._scorer._model, self._scorer._tokenizer)
            trial = _WordVectors(self._scorer, self._device)
            trial.encode(trial.tokens([TRIAL]))
        except Exception as error:  # transformers and tokenizers raise whatever comes of a file
            raise cannot_load(self._encoder, error) from error
        self._vectors = _WordVectors(self._scorer, self._device)

    @property
    def signature(self) -> str:
        """Encoder, layer, idf and rescaling."""
        return (
            f"bertscore-f1|encoder:{self._encoder.label}|layer:{self._layer}|idf:references|"
            f"rescaled:{'yes' if self._rescale else 'no'}|unweighed:alike|{FORM}|"
            f"bert-score:{version('bert-score')}"
        )

    def scores(
        self,
        sentences: Sequence[str],
        predictions: Integers,
        targets: Integers,
        references: References,
    ) -> Floats:
        """Return bert_score's F1 of each pair."""
        known = [text for of_one in references.corpus for text in of_one]
        tokens = self._vectors.tokens([*known, *sentences])
        weights = _idf(tokens[: len(known)])
        lengths, vectors = self._vectors.encode(tokens[len(known) :])
        own = [np.array([weights(t) for t in found]) for found in tokens[len(known) :]]
        f1 = _match(lengths, vectors, own, predictions, targets, self._device)
        if self._rescale:
            baseline = float(self._scorer.baseline_vals[2])
            f1 = (f1 - baseline) / (1 - baseline)
        return f1


class _WordVectors:
    """Words' vectors in sentences, of length 1, kept from call to call."""

    def __init__(self, scorer: bert_score.BERTScorer, device: torch.device) -> None:
        self._model = scorer._model
        self._tokenizer = scorer._tokenizer
        self._device = device
        self._kept: dict[tuple[int, ...], Tensor] = {}

    def tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each sentence, as bert_score's own ``sent_encode`` does."""
        distinct = list(dict.fromkeys(text.strip() for text in sentences))
        if isinstance(self._tokenizer, GPT2Tokenizer | RobertaTokenizer):
            # bert_score puts a space before these; there is no way to ask for it of a batch.
            found = [sent_encode(self._tokenizer, text) for text in distinct]
        else:
            longest = self._tokenizer.model_max_length
            found = self._tokenizer(distinct, truncation=True, max_length=longest)["input_ids"]
        numbers = dict(zip(distinct, found, strict=True))
        return [numbers[text.strip()] for text in sentences]

    def encode(self, tokens: Sequence[Sequence[int]]) -> tuple[Integers, dict[int, Tensor]]:
        """Return each sentence's length, and by length its vectors in the order they occur.

        Sentences of a length stand together, float32 (sentences, length, width).
        """
        rows = [tuple(t) for t in tokens]
        new = [row for row in dict.fromkeys(rows) if row not in self._kept]
        if sum(map(len, self._kept)) + sum(map(len, new)) > _KEPT:
            self._kept.clear()
            new = list(dict.fromkeys(rows))
        self._encode(new)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        vectors = {
            length: torch.stack([self._kept[rows[i]] for i in np.flatnonzero(lengths == length)])
            for length in sorted(set(lengths.tolist()))
        }
        return lengths, vectors

    def _encode(self, rows: Sequence[tuple[int, ...]]) -> None:
        by_length: dict[int, list[tuple[int, ...]]] = {}
        for row in rows:
            by_length.setdefault(len(row), []).append(row)
        for length, members in by_length.items():
            size = max(1, _TOKENS // length)
            for first in range(0, len(members), size):
                some = members[first : first + size]
                batch = torch.tensor(some, dtype=torch.long, device=self._device)
                with torch.inference_mode():
                    found = self._model(batch, attention_mask=torch.ones_like(batch))[0]
                    normal = torch.nn.functional.normalize(found.float(), dim=-1)
                self._kept.update(zip(some, normal, strict=True))


def _idf(documents: Sequence[Sequence[int]]) -> Callable[[int], float]:
    """Return bert_score's inverse document frequency of a token among the references."""
    counts = Counter(token for document in documents for token in set(document))
    total = len(documents)
    return lambda token: math.log((total + 1) / (counts[token] + 1))


def _match(
    lengths: Integers,
    vectors: dict[int, Tensor],
    weights: Sequence[NDArray[np.float64]],
    texts: Integers,
    references: Integers,
    device: torch.device,
) -> Floats:
    """Match words greedily, pairs of the same two lengths together."""
    place = np.zeros(len(lengths), dtype=np.int64)  # among the sentences of its length
    shares: dict[int, Tensor] = {}
    for length in vectors:
        members = np.flatnonzero(lengths == length)
        place[members] = np.arange(len(members))
        found = torch.from_numpy(np.stack([weights[i] for i in members.tolist()])).float()
        # The start and the end weigh nothing, whatever is between them.
        found[found.sum(1) == 0, 1:-1] = 1.0
        # A sentence that is nothing but start and end has no shares; it scores 0.
        shares[length] = (found / found.sum(1, keepdim=True)).to(device)
    f1 = np.zeros(len(texts))
    shapes = lengths[texts] * (lengths.max(initial=0) + 1) + lengths[references]
    for shape in np.unique(shapes):
        rows = np.flatnonzero(shapes == shape)
        first, second = int(lengths[texts[rows[0]]]), int(lengths[references[rows[0]]])
        if first <= 2 or second <= 2:
            continue
        for some in np.array_split(rows, -(-len(rows) * first * second // _CELLS)):
            left = torch.from_numpy(place[texts[some]]).to(device)
            right = torch.from_numpy(place[references[some]]).to(device)
            with torch.inference_mode():
                similar = vectors[first][left] @ vectors[second][right].transpose(1, 2)
                precision = (similar.amax(2) * shares[first][left]).sum(1)
                recall = (similar.amax(1) * shares[second][right]).sum(1)
                found = 2 * precision * recall / (precision + recall)
            f1[some] = torch.nan_to_num(found, nan=0.0).cpu().double().numpy()
    return np.minimum(f1, 1.0)  # the products of 32-bit vectors exceed it by rounding


Evaluate = evaluate_module(__name__, BertScore)
