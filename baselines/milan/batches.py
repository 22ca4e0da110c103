"""Batches of descriptions as token numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def batches(count: int, size: int, order: torch.Generator | None = None) -> Iterator[Tensor]:
    """Yield the numbers below ``count`` in batches, in random order if a generator is given."""
    numbers = torch.arange(count) if order is None else torch.randperm(count, generator=order)
    yield from numbers.split(size)


def trimmed(words: Tensor, padding: int) -> Tensor:
    """Return the tokens without the columns that are padding in all texts."""
    return words[:, : int((words != padding).sum(1).max())]


def count_words(words: Tensor, padding: int) -> int:
    """Return the number of tokens after the start of each text, stops included."""
    return int((words[:, 1:] != padding).sum())
