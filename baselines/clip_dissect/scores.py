"""SoftWPMI, the similarity function of CLIP-Dissect (Oikarinen and Weng, ICLR 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Values of the authors' code.
TEMPERATURE = 10.0  # the inverse of one: cosines are multiplied by it before the softmax
INCLUSION = (0.998, 0.97)  # of the first image, and what it falls towards
_TINY = 1e-7
_AT_ONCE = 20_000_000  # numbers held while summing over images


def soft_wpmi(cosines: Tensor, top: Tensor, weight: float = 1.0) -> Tensor:
    """Return the soft weighted pointwise mutual information of units and concepts.

    For a unit with images i of inclusion probability p_i, and P_ic the softmax over concepts of
    10 · cosine, log p(c | E) = Σ_i log(1 + p_i (P_ic − 1)); log p(c) is the log of its mean over
    the units scored together, and so the result depends on which these are.

    Args:
        cosines: (images, concepts), float32 or float64.
        top: The images that activate each unit most, the first most of all, int64 (units, k).
        weight: λ, the weight of log p(c).

    Returns:
        (units, concepts), of the type of ``cosines``.
    """
    probability = (TEMPERATURE * cosines).softmax(dim=1)
    k = top.shape[1]
    first, last = INCLUSION
    inclusion = first - torch.arange(k, dtype=cosines.dtype) / k * (first - last)
    units = max(1, _AT_ONCE // max(1, k * cosines.shape[1]))
    given = torch.cat(
        [
            (1 + inclusion[:, None] * (probability[part] - 1) + _TINY).log().sum(1)
            for part in top.split(units)
        ]
    )
    prior = given.logsumexp(0, keepdim=True) - math.log(len(top))
    return given - weight * prior
