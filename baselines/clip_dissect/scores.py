"""SoftWPMI, the similarity function of CLIP-Dissect (Oikarinen and Weng, ICLR 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Values of the authors' code.
TEMPERATURE = 10.0  # an inverse temperature: cosines are multiplied by it before the softmax
INCLUSION = (0.998, 0.97)  # inclusion probability of the first image, and its limit
_TINY = 1e-7
_AT_ONCE = 20_000_000  # numbers held while summing over images


def soft_wpmi(cosines: Tensor, top: Tensor, weight: float = 1.0) -> Tensor:
    """Return the soft weighted pointwise mutual information of units and concepts.

    For a unit with images i of inclusion probability p_i, and P_ic the softmax over concepts of
    10 · cosine, log p(c | E) = Σ_i log(1 + p_i (P_ic − 1)). log p(c) is the log of the mean of
    p(c | E) over the units that are scored together, on which the result therefore depends.

    >>> cosines = torch.tensor([[0.3, 0.1], [0.1, 0.3], [0.2, 0.2]])
    >>> soft_wpmi(cosines, torch.tensor([[0, 2], [1, 2]])).argmax(1)
    tensor([0, 1])

    Args:
        cosines: (images, concepts), float32 or float64.
        top: The images that activate each unit most, strongest first, int64 (units, k).
        weight: λ, the weight of log p(c).

    Returns:
        (units, concepts), of the type of ``cosines``.
    """
    probability = (TEMPERATURE * cosines).softmax(dim=1)
    k = top.shape[1]
    first, last = INCLUSION
    inclusion = first - torch.arange(k, dtype=cosines.dtype) / k * (first - last)
    units = max(1, _AT_ONCE // max(1, k * cosines.shape[1]))
    conditional = torch.cat(
        [
            (1 + inclusion[:, None] * (probability[images] - 1) + _TINY).log().sum(1)
            for images in top.split(units)
        ]
    )
    prior = conditional.logsumexp(0, keepdim=True) - math.log(len(top))
    return conditional - weight * prior
