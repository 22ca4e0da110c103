"""BERTScore, by default with the configuration of the MILAN paper.

The model, the layer, the baseline and the tokenizer are those of bert_score. Only the slow steps
are done here: every distinct sentence is tokenized and encoded once, in batches of equal length
without padding, and pairs are matched in batches of equal lengths as well.
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

_BATCH_TOKENS = 2048  # encoded at once
_CACHED_TOKENS = 400_000  # whose vectors stay in memory between calls: 600 MB for MiniLM
_BATCH_CELLS = 2**22  # similarities of tokens that are computed at once


class BertScore(PairMetric):
    """Best F1 over the references (Zhang et al., ICLR 2020), averaged over neurons and folds.

    Idf weights are computed over all references of the split. With roberta-large, scores are
    rescaled by bert_score's English baseline, as in the MILAN paper. Other encoders have no
    baseline file; their raw F1 is another metric, with another signature.

    If every reference contains all words of a sentence, their idf weights are 0, and bert_score
    gives 0 even to a description that equals its reference. Here all words of such a sentence get
    equal weights, as they do when every reference but one contains them.

    Args:
        encoder: See ``benchmark.text_encoders``.
        device: The device on which the encoder runs.

    Raises:
        InputError: If the encoder cannot be loaded.

    >>> metric = BertScore("packaged/all-MiniLM-L6-v2")
    >>> round(metric(["a red dog", "wheels"], [["a red dog on grass"], ["wheels"]]), 2)
    0.92
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
                # The layer chosen by bert_score's authors, or else the last but one, which is their
                # choice for most encoders.
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
            trial = _TokenVectors(self._scorer, self._device)
            trial.encode(trial.tokens([TRIAL]))
        except Exception as error:  # a damaged file makes transformers raise anything
            raise cannot_load(self._encoder, error) from error
        self._vectors = _TokenVectors(self._scorer, self._device)

    @property
    def signature(self) -> str:
        """Encoder, layer, idf weights, rescaling and version."""
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
        corpus = [text for texts in references.corpus for text in texts]
        tokens = self._vectors.tokens([*corpus, *sentences])
        corpus_tokens, sentence_tokens = tokens[: len(corpus)], tokens[len(corpus) :]
        idf = _idf(corpus_tokens)
        weights = [np.array([idf(token) for token in sentence]) for sentence in sentence_tokens]
        lengths, vectors = self._vectors.encode(sentence_tokens)
        f1 = _match(lengths, vectors, weights, predictions, targets, self._device)
        if self._rescale:
            baseline = float(self._scorer.baseline_vals[2])
            f1 = (f1 - baseline) / (1 - baseline)
        return f1


class _TokenVectors:
    """Unit vectors of the tokens of sentences, cached between calls."""

    def __init__(self, scorer: bert_score.BERTScorer, device: torch.device) -> None:
        self._model = scorer._model
        self._tokenizer = scorer._tokenizer
        self._device = device
        self._cache: dict[tuple[int, ...], Tensor] = {}

    def tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each sentence, equal to those of bert_score's ``sent_encode``."""
        distinct = list(dict.fromkeys(text.strip() for text in sentences))
        if isinstance(self._tokenizer, GPT2Tokenizer | RobertaTokenizer):
            # bert_score adds a space in front of these texts, which works for one text at a time.
            tokens = [sent_encode(self._tokenizer, text) for text in distinct]
        else:
            longest = self._tokenizer.model_max_length
            tokens = self._tokenizer(distinct, truncation=True, max_length=longest)["input_ids"]
        by_text = dict(zip(distinct, tokens, strict=True))
        return [by_text[text.strip()] for text in sentences]

    def encode(self, tokens: Sequence[Sequence[int]]) -> tuple[Integers, dict[int, Tensor]]:
        """Return each sentence's number of tokens, and the vectors of the sentences of each length.

        Vectors are float32 tensors of shape (sentences, length, width), in the order of ``tokens``.
        """
        rows = [tuple(t) for t in tokens]
        new = [row for row in dict.fromkeys(rows) if row not in self._cache]
        if sum(map(len, self._cache)) + sum(map(len, new)) > _CACHED_TOKENS:
            self._cache.clear()
            new = list(dict.fromkeys(rows))
        self._encode(new)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        vectors = {
            length: torch.stack([self._cache[rows[i]] for i in np.flatnonzero(lengths == length)])
            for length in sorted(set(lengths.tolist()))
        }
        return lengths, vectors

    def _encode(self, rows: Sequence[tuple[int, ...]]) -> None:
        by_length: dict[int, list[tuple[int, ...]]] = {}
        for row in rows:
            by_length.setdefault(len(row), []).append(row)
        for length, members in by_length.items():
            size = max(1, _BATCH_TOKENS // length)
            for first in range(0, len(members), size):
                rows_of_batch = members[first : first + size]
                batch = torch.tensor(rows_of_batch, dtype=torch.long, device=self._device)
                with torch.inference_mode():
                    states = self._model(batch, attention_mask=torch.ones_like(batch))[0]
                    vectors = torch.nn.functional.normalize(states.float(), dim=-1)
                self._cache.update(zip(rows_of_batch, vectors, strict=True))


def _idf(documents: Sequence[Sequence[int]]) -> Callable[[int], float]:
    """Return bert_score's inverse document frequency of tokens among the references."""
    counts = Counter(token for document in documents for token in set(document))
    total = len(documents)
    return lambda token: math.log((total + 1) / (counts[token] + 1))


def _match(
    lengths: Integers,
    vectors: dict[int, Tensor],
    weights: Sequence[NDArray[np.float64]],
    predictions: Integers,
    targets: Integers,
    device: torch.device,
) -> Floats:
    """Match tokens greedily; pairs with the same two lengths are matched together."""
    position = np.zeros(len(lengths), dtype=np.int64)  # among the sentences of the same length
    shares: dict[int, Tensor] = {}
    for length in vectors:
        members = np.flatnonzero(lengths == length)
        position[members] = np.arange(len(members))
        idf = torch.from_numpy(np.stack([weights[i] for i in members.tolist()])).float()
        # The first and the last token, which mark the ends, keep the weight 0 of bert_score.
        idf[idf.sum(1) == 0, 1:-1] = 1.0
        # For a sentence without tokens between the ends this is NaN; its score becomes 0.
        shares[length] = (idf / idf.sum(1, keepdim=True)).to(device)
    f1 = np.zeros(len(predictions))
    shapes = lengths[predictions] * (lengths.max(initial=0) + 1) + lengths[targets]
    for shape in np.unique(shapes):
        pairs = np.flatnonzero(shapes == shape)
        first, second = int(lengths[predictions[pairs[0]]]), int(lengths[targets[pairs[0]]])
        if first <= 2 or second <= 2:
            continue
        for batch in np.array_split(pairs, -(-len(pairs) * first * second // _BATCH_CELLS)):
            left = torch.from_numpy(position[predictions[batch]]).to(device)
            right = torch.from_numpy(position[targets[batch]]).to(device)
            with torch.inference_mode():
                similarity = vectors[first][left] @ vectors[second][right].transpose(1, 2)
                precision = (similarity.amax(2) * shares[first][left]).sum(1)
                recall = (similarity.amax(1) * shares[second][right]).sum(1)
                scores = 2 * precision * recall / (precision + recall)
            f1[batch] = torch.nan_to_num(scores, nan=0.0).cpu().double().numpy()
    return np.minimum(f1, 1.0)  # products of float32 vectors can exceed 1 by rounding


Evaluate = evaluate_module(__name__, BertScore)
