"""Defaults that builds and records share; imports nothing heavy, so that ``--help`` is fast."""

from __future__ import annotations

from typing import Any

DEFAULT_K = 15  # exemplars per neuron (MILAN paper, section 3.1)
DEFAULT_QUANTILE = 0.99  # activation threshold: top 1 % of all positions (MILAN paper, section 3.1)
DEFAULT_SIZE = 224  # side of exemplars and masks, in pixels
# Formats in which images may be stored, with the settings of Pillow's writers.
IMAGE_FORMATS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 92},
    "png": {},
    "webp": {"lossless": True, "method": 0},
}
