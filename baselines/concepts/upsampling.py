"""Upsampling of activation maps to the size of the label maps, in three published ways.

All are linear and separable: each is one matrix for the rows and one for the columns.

- ``pillow`` (NetDissect-Lite, Compositional Explanations): bilinear resizing as in Pillow; values
  at the border are extended outwards.
- ``fieldmap`` (the original Network Dissection, with a PyTorch network): linear between the centres
  of cells, which are placed at whole pixels.
- ``grid`` (the code with a segmentation model): ``grid_sample`` with zeros around the map, so that
  activations fade at the border.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

KINDS = ("pillow", "fieldmap", "grid")


def matrices(
    kind: str, size: tuple[int, int], shape: tuple[int, int], input_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the matrices R and C such that R @ map @ C.T is the upsampled map.

    Args:
        kind: One of ``KINDS``.
        size: Height and width of the activation map.
        shape: Height and width of the label map.
        input_size: Height and width of the network's input.

    Returns:
        Float64 of shape (height of the label map, height of the map), and the same for widths. No
        weight is negative; each row adds up to 1, or less where zeros surround the map.
        A map of 1 × 1, of a unit with one activation per image, is that activation everywhere.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"upsampling {kind!r}; one of {', '.join(KINDS)}")
    rows, columns = (
        _matrix(kind, *lengths) for lengths in zip(size, shape, input_size, strict=True)
    )
    return rows, columns


def _matrix(kind: str, length: int, target: int, whole: int) -> Tensor:
    if length == 1:
        return torch.ones(target, 1, dtype=torch.float64)
    eye = torch.eye(length, dtype=torch.float64)
    if kind == "pillow":
        resized = functional.interpolate(
            eye[None, None], (target, length), mode="bilinear", antialias=True
        )
        return resized[0, 0]
    if kind == "fieldmap":
        nodes = _nodes(length, target, whole)
        columns = [np.interp(np.arange(target), nodes, row) for row in eye.numpy()]
        return torch.from_numpy(np.stack(columns, axis=1))
    scale = target / length
    source = (torch.arange(target, dtype=torch.float64) - (0.5 * scale - 0.5)) / scale
    return (1 - (source[:, None] - torch.arange(length)).abs()).clamp(min=0)


def _nodes(length: int, target: int, whole: int) -> NDArray[np.float64]:
    """Return where the original code places the centres of the cells of a map, in the label map.

    As there, cells have integer widths: with an input of 227 and a map of 13, 17 and not 17.46.
    """
    cell = whole // length
    reduction = max(1, round(whole / target))
    if cell // reduction:
        return (cell // 2 // reduction + np.arange(length) * (cell // reduction)).astype(float)
    # The original code has no grid for maps that are finer than the label map.
    return np.asarray((np.arange(length) + 0.5) * target / length - 0.5)
