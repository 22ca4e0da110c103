"""p(description | exemplars): an LSTM that attends over the features of the exemplars.

The architecture is MILAN's (MILAN paper, appendix on the captioning model), after *Show, Attend and
Tell* (Xu et al., ICML 2015): the initial state is computed from the mean of the features; at each
step the features are averaged by attention, gated, and fed to the LSTM together with the last word.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.milan.specs import DecoderSpec


class EncodedExemplars(NamedTuple):
    """The inputs of the attention, computed once per neuron.

    Attributes:
        features: (neurons, k, features).
        keys: Projections of the features, (neurons, k, attention).
    """

    features: Tensor
    keys: Tensor


class State(NamedTuple):
    """The state of the LSTM, (neurons, hypotheses, hidden) each."""

    hidden: Tensor
    cell: Tensor


class Decoder(nn.Module):
    """Predicts the log probability of the next word.

    >>> decoder = Decoder(features=6, words=9, spec=DecoderSpec(embedding=4, hidden=8))
    >>> log_probs, attention = decoder(torch.zeros(2, 3, 6), torch.zeros(2, 5, dtype=torch.int64))
    >>> log_probs.shape, attention.shape
    (torch.Size([2, 4, 9]), torch.Size([2, 4, 3]))

    Args:
        features: Length of the features.
        words: Number of tokens, special ones included.
        spec: The sizes.
    """

    def __init__(self, features: int, words: int, spec: DecoderSpec | None = None) -> None:
        super().__init__()
        spec = spec or DecoderSpec()
        attention = spec.attention or min(spec.hidden, features)
        self.initial_hidden = nn.Linear(features, spec.hidden)
        self.initial_cell = nn.Linear(features, spec.hidden)
        self.embedding = nn.Embedding(words, spec.embedding)
        self.query = nn.Linear(spec.hidden, attention)
        self.key = nn.Linear(features, attention)
        self.attention = nn.Linear(attention, 1)
        self.gate = nn.Linear(spec.hidden, features)
        self.lstm = nn.LSTMCell(spec.embedding + features, spec.hidden)
        self.dropout = nn.Dropout(spec.dropout)
        self.output = nn.Linear(spec.hidden, words)

    def look(self, features: Tensor) -> tuple[EncodedExemplars, State]:
        """Return the inputs of the attention, and the state before the first step.

        Args:
            features: (neurons, k, features).
        """
        mean = features.mean(1, keepdim=True)
        state = State(self.initial_hidden(mean).tanh(), self.initial_cell(mean).tanh())
        return EncodedExemplars(features, self.key(features)), state

    def step(
        self, exemplars: EncodedExemplars, words: Tensor, state: State
    ) -> tuple[Tensor, State, Tensor]:
        """Take one step, for several hypotheses of each neuron.

        Args:
            exemplars: From ``look``.
            words: The last word of each hypothesis, int64 (neurons, hypotheses).
            state: The state of each.

        Returns:
            Log probabilities (neurons, hypotheses, words), the next state, and the attention
            (neurons, hypotheses, k), which sums to 1 over the exemplars.
        """
        state, attention = self._advance(exemplars, self.embedding(words), state)
        return self._log_probs(state.hidden), state, attention

    def _advance(
        self, exemplars: EncodedExemplars, embedded: Tensor, state: State
    ) -> tuple[State, Tensor]:
        query = self.query(state.hidden)
        compared = (query[:, :, None] + exemplars.keys[:, None]).tanh()
        attention = self.attention(compared).squeeze(-1).softmax(-1)
        seen = torch.bmm(attention, exemplars.features.to(attention.dtype))
        gated = seen * self.gate(state.hidden).sigmoid()
        inputs = torch.cat([embedded, gated], dim=-1)
        before = (state.hidden.flatten(0, 1), state.cell.flatten(0, 1))
        hidden, cell = self.lstm(inputs.flatten(0, 1), before)
        return State(hidden.view_as(state.hidden), cell.view_as(state.cell)), attention

    def _log_probs(self, hidden: Tensor) -> Tensor:
        return self.output(self.dropout(hidden)).float().log_softmax(-1)

    def forward(self, features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Read texts word by word (teacher forcing).

        Args:
            features: (neurons, k, features).
            words: One text for each, beginning with the start, int64 (neurons, tokens).

        Returns:
            Log probabilities of what follows each token but the last, (neurons, tokens − 1,
            words), and the attention at each, (neurons, tokens − 1, k).
        """
        exemplars, state = self.look(features)
        embedded = self.embedding(words[:, :-1])
        hidden, attentions = [], []
        for time in range(embedded.shape[1]):
            state, attention = self._advance(exemplars, embedded[:, time, None], state)
            hidden.append(state.hidden)
            attentions.append(attention)
        # The output layer takes all steps at once: it is the larger part of the work.
        return self._log_probs(torch.cat(hidden, 1)), torch.cat(attentions, 1)
