"""How activation maps become masks, by either of two rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional

from milannotations.record import encode_mask
from milannotations.rules import MaskRule

_UNITS_AT_ONCE = 4  # so that their full-size maps stay in the processor's cache


def upsample(maps: Tensor, size: int) -> Tensor:
    """Resize maps of shape (..., height, width) bilinearly to (..., size, size).

    Equal to ``interpolate(mode="bilinear", align_corners=False)``: bilinear resizing is a
    product with one matrix on each side, which for small maps is faster on a CPU.
    """
    height, width = maps.shape[-2:]
    rows, columns = _weights(height, size).to(maps), _weights(width, size).to(maps)
    wide = (maps.reshape(-1, width) @ columns.T).view(-1, height, size)
    return torch.bmm(rows.expand(len(wide), -1, -1), wide).view(*maps.shape[:-2], size, size)


def upsample_padded(maps: Tensor, size: int) -> Tensor:
    """Resize maps of shape (..., height, width) as the code of the MILAN paper does.

    Positions are those of ``upsample``, but beyond the centres of the outermost activations values
    fade into zeros that surround the map, where ``upsample`` repeats the outermost ones. A map of
    one position is constant. This is NetDissect's ``grid_sample`` with zero padding (Bau et al.,
    2017, arXiv 1704.05796), to the last bit.

    Returns:
        Shape (..., size, size).
    """
    height, width = maps.shape[-2:]
    rows, columns = _normalized_positions(height, size), _normalized_positions(width, size)
    grid = torch.stack(
        [columns.expand(size, size), rows[:, None].expand(size, size)], dim=-1
    )  # grid_sample takes (x, y)
    # All maps are channels of one image, so that each position is looked up once for all of them.
    channels = maps.reshape(1, -1, height, width)
    sampled = functional.grid_sample(
        channels, grid[None].to(maps), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled.view(*maps.shape[:-2], size, size)


def render_masks(
    maps: Tensor, threshold: Tensor, minimum: Tensor, size: int, rule: MaskRule = "bilinear"
) -> Tensor:
    """Return where units are activated.

    By the rule ``bilinear`` a position is activated if its activation is at least the threshold. If
    the threshold is the unit's least activation (a dead unit, or one that is zero at more than 99 %
    of all positions), that would hold everywhere, so the activation must be above the threshold. By
    the rule ``original``, that of the MILAN paper's code, maps are surrounded by zeros (see
    ``upsample_padded``), and activations must be above the threshold.

    Args:
        maps: Activation maps, shape (units, k, height, width).
        threshold: Activation threshold of each unit, shape (units,).
        minimum: Least activation of each unit, shape (units,).
        size: Side of the masks in pixels.
        rule: See above.

    Returns:
        Boolean of shape (units, k, size, size).
    """
    if rule == "original":
        return upsample_padded(maps, size) > threshold[:, None, None, None]
    # Resizing rounds; the slack keeps a plateau exactly at the threshold in one piece.
    slack = threshold.abs() * 1e-6
    above = torch.maximum(
        threshold + slack, threshold.nextafter(torch.full_like(threshold, torch.inf))
    )
    least = torch.where(threshold > minimum, threshold - slack, above)
    return upsample(maps, size) >= least[:, None, None, None]


def encoded_masks(
    maps: Tensor, threshold: Tensor, minimum: Tensor, size: int, rule: MaskRule = "bilinear"
) -> list[list[bytes]]:
    """Return the masks of ``render_masks`` as one-bit PNGs, k of them per unit."""

    def encode(first: int) -> list[list[bytes]]:
        units = slice(first, first + _UNITS_AT_ONCE)
        masks = render_masks(maps[units], threshold[units], minimum[units], size, rule).numpy()
        return [[encode_mask(mask) for mask in of_unit] for of_unit in masks]

    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        parts = pool.map(encode, range(0, len(maps), _UNITS_AT_ONCE))
        return [masks for chunk in parts for masks in chunk]


def _normalized_positions(length: int, size: int) -> Tensor:
    """Return where the centres of ``size`` pixels lie on a row of ``length`` activations.

    Activation centres are spread from -1 to 1, as ``grid_sample(align_corners=True)`` has it.
    """
    scale = float(size) / length
    first = 0.5 * scale - 0.5
    return (torch.arange(size, dtype=torch.float32) - first) * (
        2 / (scale * max(1, length - 1))
    ) - 1


def _weights(length: int, size: int) -> Tensor:
    """Return the matrix, shape (size, length), that resizes a row of ``length`` to ``size``."""
    return functional.interpolate(
        torch.eye(length)[None], size=size, mode="linear", align_corners=False
    )[0].T
