"""p(description): an LSTM over words, trained on descriptions without exemplars."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.milan.specs import LanguageModelSpec


class LanguageModel(nn.Module):
    """Predicts the log probability of the next word, whatever the neuron.

    >>> spec = LanguageModelSpec(embedding=4, hidden=8)
    >>> LanguageModel(words=9, padding=8, spec=spec)(torch.zeros(2, 5, dtype=torch.int64)).shape
    torch.Size([2, 4, 9])

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
        hidden, cell = (tensor.transpose(0, 1).contiguous() for tensor in state)
        _, (hidden, cell) = self.lstm(self.embedding(words)[:, None], (hidden, cell))
        log = self.output(hidden[-1]).float().log_softmax(-1)
        return log, (hidden.transpose(0, 1), cell.transpose(0, 1))


def text_lengths(words: Tensor, stop: int, padding: int) -> Tensor:
    """Return the number of tokens of texts, the first stop included, (…, tokens) to (…).

    >>> text_lengths(torch.tensor([[5, 6, 9, 9], [5, 6, 7, 8], [5, 10, 10, 10]]), 9, 10)
    tensor([3, 4, 1])
    """
    stops, pads = words == stop, words == padding
    before = (stops | pads).long().cumsum(-1) == 0
    # A text that was cut off has no stop: it ends with its last word.
    return before.sum(-1) + (stops & ((stops | pads).long().cumsum(-1) == 1)).any(-1)


def sequence_log_prob(logs: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Sum the log probabilities of the first tokens of texts.

    Args:
        logs: Log probabilities of each token, (texts, tokens, words).
        targets: The tokens, (texts, tokens).
        lengths: Number of tokens that are counted in each text, (texts,).

    Returns:
        (texts,), in nats.
    """
    counted = torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
    chosen = logs.gather(2, targets[:, :, None])[:, :, 0]
    return torch.where(counted, chosen, torch.zeros_like(chosen)).sum(1)
