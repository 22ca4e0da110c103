"""p(description): an LSTM over words, which has seen descriptions and never an exemplar."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class LanguageModelSpec(BaseModel):
    """Sizes of the language model; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding: int = Field(default=128, ge=1)
    hidden: int = Field(default=512, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class LanguageModel(nn.Module):
    """Gives the log probability of the next word without having seen the neuron.

    Args:
        words: Number of tokens, special ones included.
        padding: Number of the padding token.
        spec: The sizes.
    """

    def __init__(self, words: int, padding: int, spec: LanguageModelSpec | None = None) -> None:
        super().__init__()
        spec = spec or LanguageModelSpec()
        self.embedding = nn.Embedding(words, spec.embedding, padding_idx=padding)
        self.lstm = nn.LSTM(
            spec.embedding,
            spec.hidden,
            num_layers=spec.layers,
            dropout=spec.dropout if spec.layers > 1 else 0,
            batch_first=True,
        )
        self.output = nn.Linear(spec.hidden, words)

    def forward(self, words: Tensor) -> Tensor:
        """Return log probabilities of what follows each token but the last.

        Args:
            words: Texts that begin with the start, int64 (texts, tokens).

        Returns:
            (texts, tokens − 1, words).
        """
        hidden, _ = self.lstm(self.embedding(words[:, :-1]))
        return self.output(hidden).float().log_softmax(-1)

    def start(self, texts: int) -> tuple[Tensor, Tensor]:
        """Return the state before the first word, (texts, layers, hidden) each."""
        weight = self.output.weight
        zeros = weight.new_zeros(texts, self.lstm.num_layers, self.lstm.hidden_size)
        return zeros, zeros.clone()

    def step(
        self, words: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Take one step.

        Args:
            words: The last word of each text, int64 (texts,).
            state: (texts, layers, hidden) each.

        Returns:
            Log probabilities (texts, words) and the next state.
        """
        hidden, cell = (part.transpose(0, 1).contiguous() for part in state)
        _, (hidden, cell) = self.lstm(self.embedding(words)[:, None], (hidden, cell))
        log = self.output(hidden[-1]).float().log_softmax(-1)
        return log, (hidden.transpose(0, 1), cell.transpose(0, 1))


def sequence_log_prob(logs: Tensor, words: Tensor, stop: int, padding: int) -> Tensor:
    """Sum the log probabilities of texts' tokens, up to and with the first stop.

    Args:
        logs: Log probabilities of what follows each token, (texts, tokens − 1, words).
        words: The texts, beginning with the start, (texts, tokens).
        stop: Number of the stop.
        padding: Number of the padding, which is skipped wherever it stands after the stop.

    Returns:
        (texts,), in nats.
    """
    targets = words[:, 1:]
    # Cut off after the first stop; what has none is counted to its end.
    after = (targets == stop).long().cumsum(1) - (targets == stop).long() > 0
    counted = ~(after | (targets == padding))
    chosen = logs.gather(2, targets[:, :, None])[:, :, 0]
    return torch.where(counted, chosen, torch.zeros_like(chosen)).sum(1)
