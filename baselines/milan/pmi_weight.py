"""The choice of λ, the weight of log p(d), on neurons held out from training.

The held-out neurons are searched once by a beam without PMI. For each λ the candidate of highest
log p(d | E) − λ log p(d) is taken, as ``rerank`` does, and scored by identification: how often a
description fits its own neuron better than another neuron of the layer. The fit is the cosine of
word counts weighted by inverse document frequency, so that the choice does not depend on whether a
sentence encoder is installed. The λ with the best score is chosen (of ties, the one nearest to the
paper's).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from baselines.milan.decoding import Decoding
from baselines.milan.examples import ExampleSubset
from baselines.milan.model import Milan
from baselines.milan.vocabulary import tokenize
from benchmark.metrics.base import Floats, References
from benchmark.metrics.identification import Identification
from benchmark.references import Fold, usable
from benchmark.tokenization import normalize

PAPER_WEIGHT = 0.2
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
MIN_NEURONS = 10  # with fewer, a standard error is meaningless
MAX_NEURONS = 1000  # more would take longer and hardly make the choice more certain
_BATCH = 16


class WordVectors:
    """Sentences as unit vectors of word counts times log((1 + n) / (1 + df)).

    >>> WordVectors(["red dogs", "red cats"]).encode(["dogs", "cats"]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Args:
        texts: The n texts that are counted; df of them contain a word.
    """

    signature = "tf-idf of the training annotations"

    def __init__(self, texts: Sequence[str]) -> None:
        holding = Counter(word for words in tokenize(texts) for word in set(words))
        self._rarity = {w: float(np.log((1 + len(texts)) / (1 + c))) for w, c in holding.items()}
        self._unknown = float(np.log(1 + len(texts)))

    def encode(self, sentences: Sequence[str]) -> Floats:
        """Return float64 of shape (sentences, words); zeros for sentences without a rare word."""
        numbers: dict[str, int] = {}
        counted = [Counter(words) for words in tokenize(sentences)]
        for counts in counted:
            for word in counts:
                numbers.setdefault(word, len(numbers))
        vectors = np.zeros((len(sentences), max(len(numbers), 1)))
        for row, counts in enumerate(counted):
            for word, count in counts.items():
                vectors[row, numbers[word]] = count * self._rarity.get(word, self._unknown)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(length > 0, length, 1)


class WordIdentification(Identification):
    """Identification with ``WordVectors`` in place of a sentence encoder."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._encoder = WordVectors(texts)  # type: ignore[assignment]


class WeightChoice(BaseModel):
    """The λ that was chosen, and why.

    Attributes:
        chosen: The λ.
        reason: Why, in words.
        neurons: Number of held-out neurons with a value.
        weights: The λ that were compared; empty if none could be.
        identification: Mean identification AUC of each, 0.5 by chance.
        errors: Standard error of each one's paired difference to the best.
        metric: Signature of the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    chosen: float
    reason: str
    neurons: int = 0
    weights: tuple[float, ...] = ()
    identification: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()
    metric: str = ""


def choose_weight(
    model: Milan,
    learn: ExampleSubset,
    held: ExampleSubset,
    decoding: Decoding,
    weights: Sequence[float] = WEIGHTS,
) -> WeightChoice:
    """Choose λ on held-out neurons.

    Args:
        model: The model, with a language model.
        learn: The training neurons, whose annotations give the frequencies of words.
        held: The held-out neurons.
        decoding: The search of the model; its strategy must be ``rerank``.
        weights: The λ to compare.
    """
    positions = [index for index, texts in enumerate(held.texts) if usable(texts)]
    positions = positions[:: -(-len(positions) // MAX_NEURONS) or 1]
    groups = _groups(held, positions)
    sizes = {group: groups.count(group) for group in set(groups)}
    compared = sum(size for size in sizes.values() if size > 1)
    if compared < MIN_NEURONS:
        return WeightChoice(
            chosen=PAPER_WEIGHT,
            neurons=compared,
            reason=f"{compared} held-out neurons share a layer with another, and a choice needs "
            f"{MIN_NEURONS}: the paper's {PAPER_WEIGHT:g} is kept",
        )
    metric = WordIdentification([normalize(text) for text in learn.pairs()[1]])
    texts = descriptions(model, held, positions, decoding, weights)
    references = [[normalize(t) for t in usable(held.texts[index])] for index in positions]
    predictions = {
        str(weight): [weight_texts] for weight, weight_texts in zip(weights, texts, strict=True)
    }
    statistics = metric.statistics(
        References([Fold([""] * len(positions), references)], groups), predictions
    )
    values = np.stack([metric.per_neuron(statistics[str(weight)]) for weight in weights])
    return chosen(values[:, ~np.isnan(values[0])], weights, metric.signature)


def chosen(values: Floats, weights: Sequence[float], metric: str = "") -> WeightChoice:
    """Choose by values of shape (weights, neurons), at least two neurons.

    >>> chosen(np.array([[0.5, 0.5, 0.6], [0.9, 0.8, 0.9]]), (0.2, 0.5)).chosen
    0.5
    >>> chosen(np.array([[0.5, 0.9, 0.6], [0.9, 0.6, 0.5]]), (0.2, 0.5)).chosen
    0.2
    """
    # Rounded, as the order of summation may change the last digit of equal values.
    means = values.mean(1).round(9)
    nearness = [(-round(abs(weight - PAPER_WEIGHT), 9), -weight) for weight in weights]
    best = max(range(len(weights)), key=lambda i: (means[i], nearness[i]))
    differences = values[best] - values
    errors = differences.std(1, ddof=1) / np.sqrt(values.shape[1])
    paper = dict(zip(weights, zip(means, errors, strict=True), strict=True)).get(PAPER_WEIGHT)
    gain = f"; {PAPER_WEIGHT:g}, the paper's, {paper[0]:.3f}, " if paper else ""
    gain += f"{means[best] - paper[0]:.3f} ± {paper[1]:.3f} less" if paper else ""
    return WeightChoice(
        chosen=weights[best],
        reason=f"best of {len(weights)} on {values.shape[1]} held-out neurons "
        f"(identification {means[best]:.3f}{gain})",
        neurons=values.shape[1],
        weights=tuple(weights),
        identification=tuple(round(float(value), 4) for value in means),
        errors=tuple(round(float(value), 4) for value in errors),
        metric=metric,
    )


def descriptions(
    model: Milan,
    held: ExampleSubset,
    positions: Sequence[int],
    decoding: Decoding,
    weights: Sequence[float],
) -> list[list[str]]:
    """Return descriptions of some held-out neurons with each λ, from one search."""
    # Any weight above 0 makes the search return log p(d) too.
    how = decoding.model_copy(update={"strategy": "rerank", "pmi": 1.0})
    texts_of_weights: list[list[str]] = [[] for _ in weights]
    rows = [held.rows[index] for index in positions]
    for first in range(0, len(rows), _BATCH):
        features = held.examples.features[rows[first : first + _BATCH]]
        candidates = model.search(features, how)
        assert candidates.prior is not None
        likely = candidates.log_prob
        # By log p(d | E), as the beam ordered them, which decides between equal scores.
        order = likely.argsort(dim=1, descending=True, stable=True)
        at = torch.arange(len(order), device=order.device)[:, None]
        tokens, likely = candidates.tokens[at, order], likely[at, order]
        prior = candidates.prior[at, order]
        for texts, weight in zip(texts_of_weights, weights, strict=True):
            scores = likely - weight * prior if weight else likely
            best = tokens[at[:, 0], scores.argmax(1)]
            texts += [normalize(model.vocabulary.decode(numbers)) for numbers in best.tolist()]
    return texts_of_weights


def _groups(held: ExampleSubset, positions: Sequence[int]) -> list[str]:
    keys = [held.examples.keys[held.rows[index]] for index in positions]
    return [f"{key.model}-{key.dataset} {key.layer}" for key in keys]
