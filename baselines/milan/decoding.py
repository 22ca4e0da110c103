"""From features of exemplars to candidate descriptions, by the strategies of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from baselines.milan.decoder import Decoder, EncodedExemplars
from baselines.milan.decoder import State as DecoderState
from baselines.milan.language_model import LanguageModel, sequence_log_prob, text_lengths
from baselines.milan.search import Hypotheses, State, Step, beam_search, greedy_search
from baselines.milan.vocabulary import Vocabulary
from milannotations.errors import InputError

_AT_ONCE = 20_000_000  # logits of p(d) held at once
Strategy = Literal["greedy", "sample", "beam", "rerank"]


class Decoding(BaseModel):
    """How descriptions are searched for.

    The strategy and the weight of p(d) are independent, so that their effects can be told apart.

    >>> Decoding(strategy="beam", pmi=0).beam
    50

    Attributes:
        strategy: ``greedy`` takes the best word in each step, ``sample`` draws it, ``beam`` keeps
            the best hypotheses; ``rerank`` searches like ``beam`` with ``pmi`` 0, and then orders
            the results by log p(d | E) − ``pmi`` · log p(d) (MILAN paper, section 3.2).
        pmi: λ, the weight of log p(d). With ``greedy``, ``sample`` and ``beam`` each word is scored
            by log p(w | E) − λ log p(w) (token-wise mutual information). 0 disables it.
        beam: Number of hypotheses; with ``sample``, of draws.
        length: Tokens of the longest description, the stop included.
        seed: Seed of ``sample``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = "rerank"
    pmi: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    beam: int = Field(default=50, ge=1, le=10_000)
    length: int = Field(default=15, ge=1, le=200)
    seed: int = Field(default=0, ge=0)


# Named ablations, each one option away from the paper's method. ``pmi=`` sets other weights.
VARIANTS: dict[str, Decoding] = {
    "milan": Decoding(),
    # The ablation of the paper, whose code decodes greedily without mutual information. For the
    # effect of PMI under the same search compare "milan" with "beam".
    "no-pmi": Decoding(strategy="greedy", pmi=0),
    "greedy": Decoding(strategy="greedy", pmi=0),
    "beam": Decoding(strategy="beam", pmi=0),
    "rerank": Decoding(strategy="rerank", pmi=0.2),
    "mi-greedy": Decoding(strategy="greedy", pmi=0.2),
    "mi-beam": Decoding(strategy="beam", pmi=0.2),
    "sample": Decoding(strategy="sample", pmi=0, beam=1),
    "mi-sample": Decoding(strategy="sample", pmi=0.2, beam=1),
}


class Candidates(NamedTuple):
    """Candidate descriptions of neurons, best first.

    Attributes:
        tokens: int64 (neurons, candidates, length).
        scores: Scores by which they are ordered, (neurons, candidates); −inf for no candidate.
        log_prob: log p(d | E) in nats, (neurons, candidates).
        prior: log p(d) in nats, (neurons, candidates); None if no language model was needed.
    """

    tokens: Tensor
    scores: Tensor
    log_prob: Tensor
    prior: Tensor | None


@torch.inference_mode()
def decode(
    decoder: Decoder,
    language_model: LanguageModel | None,
    vocabulary: Vocabulary,
    features: Tensor,
    decoding: Decoding,
    *,
    uniform: Tensor | None = None,
    as_original: bool = False,
) -> Candidates:
    """Search for descriptions of neurons.

    Args:
        decoder: p(d | E), in evaluation mode.
        language_model: p(d), in evaluation mode; may be None if ``pmi`` is 0.
        vocabulary: The words.
        features: (neurons, k, features), on the decoder's device.
        decoding: How to search.
        uniform: For ``sample``: random numbers in [0, 1), (neurons, beam, length).
        as_original: Follow the original code even in its errors; see ``MilanConfig``.

    Raises:
        InputError: If p(d) is needed and there is no language model.
    """
    needs_prior(decoding, language_model)
    token_wise = decoding.pmi if decoding.strategy != "rerank" else 0.0
    with_prior = language_model if token_wise else None
    hypotheses = _search(decoder, with_prior, vocabulary, features, decoding, uniform, as_original)
    log_prob, prior = hypotheses.scores, None
    if decoding.pmi:
        assert language_model is not None
        second_stop = as_original and not token_wise
        prior = language_model_log_prob(language_model, hypotheses.tokens, vocabulary, second_stop)
    scores = hypotheses.scores
    if token_wise:
        # The search added up log p(w | E) − λ log p(w).
        assert prior is not None
        log_prob = scores + token_wise * prior
    elif prior is not None:
        scores = log_prob - decoding.pmi * prior
    order = scores.argsort(dim=1, descending=True, stable=True)
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Candidates(
        hypotheses.tokens[rows, order],
        scores[rows, order],
        log_prob[rows, order],
        None if prior is None else prior[rows, order],
    )


def joined(searches: Sequence[Candidates]) -> Candidates:
    """Concatenate the candidates of several searches, with the same number for each neuron."""
    priors = [candidates.prior for candidates in searches if candidates.prior is not None]
    return Candidates(
        torch.cat([candidates.tokens for candidates in searches]),
        torch.cat([candidates.scores for candidates in searches]),
        torch.cat([candidates.log_prob for candidates in searches]),
        torch.cat(priors) if priors else None,
    )


def needs_prior(decoding: Decoding, language_model: LanguageModel | None) -> None:
    """Raise InputError if PMI is requested without a language model."""
    if decoding.pmi and language_model is None:
        raise InputError(
            f"pmi={decoding.pmi:g} needs a language model, and this model was trained without "
            "one; take pmi=0, or a variant such as greedy or beam"
        )


def language_model_log_prob(
    language_model: LanguageModel,
    tokens: Tensor,
    vocabulary: Vocabulary,
    second_stop: bool = False,
) -> Tensor:
    """Return log p(d) of candidates without their start, (neurons, candidates).

    Args:
        language_model: p(d).
        tokens: int64 (neurons, candidates, length).
        vocabulary: The words.
        second_stop: Also count a second stop, except in the longest candidates of a neuron, as the
            original code does because of an off-by-one error.
    """
    lengths = text_lengths(tokens, vocabulary.stop, vocabulary.pad)
    longest = lengths.amax(-1, keepdim=True)
    if second_stop:
        lengths = (lengths + 1).minimum(longest)
    flat = tokens.flatten(0, -2)[:, : int(longest.max())]
    words = torch.cat([flat.new_full((len(flat), 1), vocabulary.start), flat], dim=1)
    at_once = max(1, _AT_ONCE // (flat.shape[1] * len(vocabulary)))
    batches = zip(words.split(at_once), lengths.flatten().split(at_once), strict=True)
    sums = [sequence_log_prob(language_model(w), w[:, 1:], size) for w, size in batches]
    return torch.cat(sums).view(tokens.shape[:-1])


def text_log_prob(
    decoder: Decoder, vocabulary: Vocabulary, features: Tensor, words: Tensor
) -> Tensor:
    """Return log p(d | E) of one text per neuron, (neurons,).

    Args:
        decoder: p(d | E).
        vocabulary: The words.
        features: (neurons, k, features).
        words: Texts that begin with the start, int64 (neurons, tokens).
    """
    logs, _ = decoder(features, words)
    targets = words[:, 1:]
    return sequence_log_prob(logs, targets, text_lengths(targets, vocabulary.stop, vocabulary.pad))


def _search(
    decoder: Decoder,
    language_model: LanguageModel | None,
    vocabulary: Vocabulary,
    features: Tensor,
    decoding: Decoding,
    uniform: Tensor | None,
    as_original: bool,
) -> Hypotheses:
    exemplars, first = decoder.look(features)
    sampling = decoding.strategy == "sample"
    width = decoding.beam if sampling else 1
    state: State = tuple(tensor.expand(-1, width, -1).contiguous() for tensor in first)
    if language_model is not None:
        start = language_model.start(len(features) * width)
        state += tuple(tensor.unflatten(0, (len(features), width)) for tensor in start)
    step = _step(decoder, language_model, exemplars, decoding.pmi)
    common: dict[str, Any] = {
        "start": vocabulary.start,
        "stop": vocabulary.stop,
        "length": decoding.length,
        "forbidden": () if as_original else vocabulary.unspeakable,
        "empty": as_original,
    }
    if decoding.strategy in ("beam", "rerank"):
        return beam_search(step, state, beam=decoding.beam, **common)
    if sampling and uniform is None:
        raise InputError("sampling needs random numbers")
    return greedy_search(step, state, uniform=uniform if sampling else None, **common)


def _step(
    decoder: Decoder, language_model: LanguageModel | None, exemplars: EncodedExemplars, pmi: float
) -> Step:
    def step(words: Tensor, state: State) -> tuple[Tensor, State]:
        log, (hidden, cell), _ = decoder.step(exemplars, words, DecoderState(*state[:2]))
        if language_model is None:
            return log, (hidden, cell)
        shape = words.shape
        before = (state[2].flatten(0, 1), state[3].flatten(0, 1))
        prior, after = language_model.step(words.flatten(), before)
        log = log - pmi * prior.unflatten(0, shape)
        return log, (hidden, cell, *(tensor.unflatten(0, shape) for tensor in after))

    return step
