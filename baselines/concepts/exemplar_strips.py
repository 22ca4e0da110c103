"""The strongest images of a unit in a row, darkened where the unit is not activated."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.counting import Upsampler
from baselines.concepts.tally import Tally
from milannotations.pictures import to_rgb

_SIDE = 84  # of an image, in pixels
_GAP = 3
_DARK = 0.3  # brightness outside the mask


def strips(
    tally: Tally,
    units: Iterable[int],
    picture: Callable[[int], Image.Image],
    upsampler: Upsampler,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[int, str]:
    """Return a row of exemplars for each unit, as the data URI of a JPEG image.

    Args:
        tally: The layer, with its exemplars.
        units: Which units.
        picture: Returns an image, square, as the network saw it.
        upsampler: The upsampler of this layer, on the CPU.
        advance: Called with the number of units done.

    Returns:
        A data URI for every unit that is activated at all.
    """
    if tally.top is None:
        return {}

    @lru_cache(maxsize=1024)
    def small(index: int) -> NDArray[np.uint8]:
        return np.asarray(to_rgb(picture(index)).resize((_SIDE, _SIDE)))

    addresses = {}
    for unit in units:
        threshold = tally.thresholds[unit]
        maps = upsampler(torch.from_numpy(tally.top.maps[unit])).numpy()
        shown = [
            _masked(small(int(tally.top.ids[unit, k])), maps[k] > threshold)
            for k in np.flatnonzero(tally.top.peaks[unit] > threshold)
        ]
        if shown:
            addresses[unit] = _address(shown)
        advance(1)
    return addresses


def _masked(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    fitted = np.asarray(Image.fromarray(mask).resize((_SIDE, _SIDE), Image.Resampling.NEAREST))
    return np.where(fitted[..., None], pixels, (_DARK * pixels).astype(np.uint8))


def _address(tiles: list[NDArray[np.uint8]]) -> str:
    step = _SIDE + _GAP
    strip = Image.new("RGB", (step * len(tiles) - _GAP, _SIDE), "white")
    for number, tile in enumerate(tiles):
        strip.paste(Image.fromarray(tile), (step * number, 0))
    buffer = io.BytesIO()
    strip.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
