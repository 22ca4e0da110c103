"""Dataset folders of generated records, small enough to commit as plain files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from milannotations.folder import write_records
from milannotations.record import encode_image, encode_mask

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    def make(
        name: str,
        layers: tuple[str, ...] = ("conv1", "conv2"),
        *,
        images: bool = True,
        seed: int = 0,
        release: dict[str, Any] | None = None,
        place: Path | None = None,
    ) -> Path:
        """Write two neurons per layer, of three exemplars of 32 × 32; a shard per layer."""
        rng = np.random.default_rng(seed)
        folder = (place or tmp_path / "folders") / name
        (folder / "data").mkdir(parents=True)
        model, _, dataset = name.partition("-")
        for number, layer in enumerate(layers):
            records = [
                {
                    "model": model,
                    "dataset": dataset,
                    "layer": layer,
                    "unit": unit,
                    "images": [_picture(rng) for _ in range(3)] if images else [],
                    "masks": [encode_mask(rng.random((32, 32)) > 0.8) for _ in range(3)],
                    "activations": sorted(rng.random(3).astype(float).tolist(), reverse=True),
                    "image_ids": rng.integers(0, 1000, 3).tolist(),
                    "threshold": None,
                    "annotations": [f"words {index} of {layer}:{unit}" for index in range(3)],
                }
                for unit in range(2)
            ]
            shard = f"{number:03d}-{re.sub(r'[^a-z0-9.]', '_', layer)}-00000.parquet"
            write_records(folder / "data" / shard, records)
        if release is not None:
            (folder / "release.json").write_text(json.dumps(release), encoding="utf-8")
        return folder

    return make


def _picture(rng: np.random.Generator) -> bytes:
    pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    return encode_image(Image.fromarray(pixels), "png")
