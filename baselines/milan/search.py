"""Greedy search, sampling and beam search, for many neurons at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]
# Takes the last words (neurons, hypotheses) and the state, whose tensors begin with the same two
# dimensions; returns the scores of all next words (neurons, hypotheses, words) and the next state.
Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Hypotheses(NamedTuple):
    """Token sequences of each neuron, best first.

    Attributes:
        tokens: int64 (neurons, hypotheses, length); after a stop only stops follow.
        scores: Sum of the scores of the tokens up to the first stop, inclusive, (neurons,
            hypotheses); −inf where there are fewer hypotheses.
    """

    tokens: Tensor
    scores: Tensor


@torch.inference_mode()
def beam_search(
    step: Step,
    state: State,
    *,
    start: int,
    stop: int,
    beam: int,
    length: int,
    forbidden: Sequence[int] = (),
    empty: bool = True,
) -> Hypotheses:
    """Search for the sequences of highest total score with a beam.

    In each step every hypothesis is extended by every word, and the best ``beam`` of all are kept;
    finished hypotheses stay as they are. Scores are not normalized by length. All neurons and
    hypotheses go through the network together.

    Args:
        step: The model.
        state: State before the first word, of one hypothesis per neuron.
        start: The start token.
        stop: The stop token.
        beam: Hypotheses per neuron.
        length: Tokens of the longest sequence, the stop included.
        forbidden: Tokens that must not occur.
        empty: Whether the stop may be the first token.

    Returns:
        At most ``beam`` hypotheses; fewer if there are not as many sequences.
    """
    neurons, device = len(state[0]), state[0].device
    tokens = torch.empty(neurons, 1, 0, dtype=torch.int64, device=device)
    words = torch.full((neurons, 1), start, device=device)
    scores = torch.zeros(neurons, 1, device=device)
    for time in range(length):
        log, state = step(words, state)
        log = _allowed(log, forbidden if time or empty else [*forbidden, stop])
        if time:
            log = _keep_finished(log, words == stop, stop)
        size = log.shape[-1]
        totals = (scores[:, :, None] + log).flatten(1)
        scores, at = totals.topk(min(beam, totals.shape[1]), dim=1)
        parents, words = at // size, at % size
        state = tuple(_take(tensor, parents) for tensor in state)
        tokens = torch.cat([_take(tokens, parents), words[:, :, None]], dim=2)
        if (words == stop).logical_or(scores.isneginf()).all():
            break
    return Hypotheses(_padded(tokens, length, stop), scores)


@torch.inference_mode()
def greedy_search(
    step: Step,
    state: State,
    *,
    start: int,
    stop: int,
    length: int,
    forbidden: Sequence[int] = (),
    empty: bool = True,
    uniform: Tensor | None = None,
) -> Hypotheses:
    """Take the best word in each step, or draw one.

    Args:
        step: The model.
        state: State before the first word, of any number of hypotheses per neuron.
        start: The start token.
        stop: The stop token.
        length: Tokens of the longest sequence, the stop included.
        forbidden: Tokens that must not occur.
        empty: Whether the stop may be the first token.
        uniform: Random numbers in [0, 1), (neurons, hypotheses, length), with which words are drawn
            in proportion to the exponentials of their scores. The same numbers draw the same words
            whatever else is in the batch.

    Returns:
        One hypothesis per state, in the order of the states.
    """
    shape, device = state[0].shape[:2], state[0].device
    words = torch.full(shape, start, device=device)
    scores = torch.zeros(shape, device=device)
    chosen: list[Tensor] = []
    for time in range(length):
        log, state = step(words, state)
        log = _allowed(log, forbidden if time or empty else [*forbidden, stop])
        if time:
            log = _keep_finished(log, words == stop, stop)
        if uniform is None:
            words = log.argmax(-1)
        else:
            # On the CPU, as not every device has double precision.
            reached = log.softmax(-1).cpu().double().cumsum(-1)
            at = uniform[:, :, time, None].to(reached) * reached[:, :, -1:]
            words = (reached <= at).sum(-1).clamp(max=log.shape[-1] - 1).to(device)
        scores = scores + log.gather(2, words[:, :, None])[:, :, 0]
        chosen.append(words)
        if (words == stop).all():
            break
    return Hypotheses(_padded(torch.stack(chosen, dim=2), length, stop), scores)


def _allowed(log: Tensor, forbidden: Sequence[int]) -> Tensor:
    if not forbidden:
        return log
    return log.index_fill(-1, torch.tensor(list(forbidden), device=log.device), -torch.inf)


def _keep_finished(log: Tensor, finished: Tensor, stop: int) -> Tensor:
    """Allow only stops after a stop, with a score of 0."""
    log = log.masked_fill(finished[:, :, None], -torch.inf)
    log[:, :, stop] = log[:, :, stop].masked_fill(finished, 0)
    return log


def _take(values: Tensor, parents: Tensor) -> Tensor:
    """Select hypotheses (neurons, hypotheses, …) by number (neurons, new hypotheses)."""
    return values[torch.arange(len(values), device=values.device)[:, None], parents]


def _padded(tokens: Tensor, length: int, stop: int) -> Tensor:
    return torch.nn.functional.pad(tokens, (0, length - tokens.shape[2]), value=stop)
