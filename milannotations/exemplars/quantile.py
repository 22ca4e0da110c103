"""The choice between two ways to compute an upper quantile of a stream of activations."""

from __future__ import annotations

import torch

from milannotations.exemplars.histogram import QuantileHistogram
from milannotations.exemplars.tail import ExactTail, rank_from_top

# Greatest activations kept per unit: 4 KB. At the 0.99 quantile that is enough for 102,300
# activations: 2,000 images with maps of 7 × 7, or 100,000 images with one activation each.
LONGEST = 1024


def quantile_of(
    units: int, q: float, expected: int, device: torch.device | str = "cpu"
) -> ExactTail | QuantileHistogram:
    """Return the object that computes a quantile of a stream.

    An ``ExactTail`` where at most ``LONGEST`` values decide the quantile, else a
    ``QuantileHistogram``. The arguments are those of both classes.
    """
    kind = ExactTail if rank_from_top(q, expected) <= LONGEST else QuantileHistogram
    return kind(units, q, expected, device)
