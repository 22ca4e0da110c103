"""Batches of descriptions as token numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def batches(count: int, size: int, order: torch.Generator | None = None) -> Iterator[Tensor]:
    """Yield the numbers below ``count``, ``size`` at a time; in random order if one is given."""
    numbers = torch.arange(count) if order is None else torch.randperm(count, generator=order)
    yield from numbers.split(size)


def trimmed(words: Tensor, padding: int) -> Tensor:
    """Cut off the columns in which all texts are padded."""
    return words[:, : int((words != padding).sum(1).max())]


def count_words(words: Tensor, padding: int) -> int:
    """Return how many tokens texts have after their start, stops included."""
    return int((words[:, 1:] != padding).sum())
