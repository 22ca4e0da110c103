"""Small exemplars and datasets of records, for the tests beside."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from milannotations.record import FEATURES, encode_mask

Maker = Callable[..., dict[str, Any]]
SIDE = 32


def photograph(seed: int, size: int = SIDE) -> Image.Image:
    """A smooth colour picture; every seed gives quite another one."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def mask(covered: float, size: int = SIDE) -> bytes:
    """A mask of which the upper part, a share of ``covered``, is set."""
    pixels = np.zeros((size, size), dtype=bool)
    pixels[: round(covered * size)] = True
    return encode_mask(pixels)


def dataset(records: list[dict[str, Any]]) -> Dataset:
    return Dataset.from_list(records, features=FEATURES)
