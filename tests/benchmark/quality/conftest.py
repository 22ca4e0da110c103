"""Records in which everything that a report counts is known."""

from __future__ import annotations

from typing import Any

import pytest

from milannotations.record import encode_image
from tests.benchmark.quality.records import Maker, mask, photograph


@pytest.fixture
def record() -> Maker:
    """Make a record with two distinct exemplars unless told otherwise."""

    def make(unit: int, layer: str = "layer1", **fields: Any) -> dict[str, Any]:
        images = fields.pop("images", [encode_image(photograph(2 * unit + i)) for i in range(2)])
        masks = fields.pop("masks", [mask(0.25)] * len(images))
        made = {
            "model": "net",
            "dataset": "data",
            "layer": layer,
            "unit": unit,
            "images": [{"bytes": image, "path": None} for image in images],
            "masks": [{"bytes": one, "path": None} for one in masks],
            "activations": [float(9 - i) for i in range(len(masks))],
            "image_ids": [10 * unit + i for i in range(len(masks))],
            "threshold": 1.0,
            "annotations": ["a red dog", "a blue cat", "green grass"],
        }
        return made | fields

    return make
