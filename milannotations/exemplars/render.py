"""From activation maps to masks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional

from milannotations.record import encode_mask

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


def render_masks(maps: Tensor, threshold: Tensor, minimum: Tensor, size: int) -> Tensor:
    """Return where units are activated.

    A position is activated where its activation is at least the threshold. Where the threshold
    is the unit's least activation (a dead unit, or one that is zero on more than 99 % of all
    positions), that would be everywhere: there it must be above the threshold.

    Args:
        maps: Activation maps, shape (units, k, height, width).
        threshold: Activation threshold of each unit, shape (units,).
        minimum: Least activation of each unit, shape (units,).
        size: Side of the masks in pixels.

    Returns:
        Boolean of shape (units, k, size, size).
    """
    # Resizing rounds: the slack keeps a plateau that lies exactly at the threshold whole.
    slack = threshold.abs() * 1e-6
    above = torch.maximum(
        threshold + slack, threshold.nextafter(torch.full_like(threshold, torch.inf))
    )
    least = torch.where(threshold > minimum, threshold - slack, above)
    return upsample(maps, size) >= least[:, None, None, None]


def encoded_masks(maps: Tensor, threshold: Tensor, minimum: Tensor, size: int) -> list[list[bytes]]:
    """Return the masks of ``render_masks`` as one-bit PNGs, k of them per unit."""

    def encode(first: int) -> list[list[bytes]]:
        units = slice(first, first + _UNITS_AT_ONCE)
        masks = render_masks(maps[units], threshold[units], minimum[units], size).numpy()
        return [[encode_mask(mask) for mask in of_unit] for of_unit in masks]

    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        parts = pool.map(encode, range(0, len(maps), _UNITS_AT_ONCE))
        return [masks for part in parts for masks in part]


def _weights(length: int, size: int) -> Tensor:
    """Return the matrix, shape (size, length), that resizes a row of ``length`` to ``size``."""
    return functional.interpolate(
        torch.eye(length)[None], size=size, mode="linear", align_corners=False
    )[0].T
