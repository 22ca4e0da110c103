"""How activation maps are brought to the size of the label maps: three published ways.

All are linear and separable: each is a matrix for the rows and one for the columns.
"""

from __future__ import annotations

import numpy as np
import torch
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
        Float64 of shape (height of the label map, height of the map), and the same for widths.
    """
    rows, columns = (
        _matrix(kind, *lengths) for lengths in zip(size, shape, input_size, strict=True)
    )
    return rows, columns


def _matrix(kind: str, length: int, wanted: int, whole: int) -> Tensor:
    if length == 1:
        return torch.ones(wanted, 1, dtype=torch.float64)
    eye = torch.eye(length, dtype=torch.float64)
    if kind == "pillow":
        resized = functional.interpolate(
            eye[None, None], (wanted, length), mode="bilinear", antialias=True
        )
        return resized[0, 0]
    if kind == "fieldmap":
        step = whole / length
        reduction = round(whole / wanted)
        nodes = (step // 2 + step * np.arange(length)) // reduction
        columns = [np.interp(np.arange(wanted), nodes, row) for row in eye.numpy()]
        return torch.from_numpy(np.stack(columns, axis=1))
    scale = wanted / length
    source = (torch.arange(wanted, dtype=torch.float64) - (0.5 * scale - 0.5)) / scale
    return (1 - (source[:, None] - torch.arange(length)).abs()).clamp(min=0)
