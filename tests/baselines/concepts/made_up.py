"""Labelled images made of numbers, for tests that need any labels at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.labelled_images import Labels, VisualConcept


class MadeUp:
    """Random labels: several channels, whole-image labels, pixels without any.

    Concept 7 is a scene that never occurs.
    """

    concepts = tuple(
        VisualConcept(f"c{i}", "object" if i < 4 else "part" if i < 7 else "scene", i + 1)
        for i in range(8)
    )
    categories = ("object", "part", "scene")

    def __init__(
        self, images: int = 20, size: tuple[int, int] = (24, 24), seed: int = 0, state: str = ""
    ) -> None:
        self.images, self.size, self.seed, self.state = images, size, seed, state
        self.shape: tuple[int, int] | None = None
        self.problems: list[str] = []
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.images

    def image(self, index: int) -> Image.Image:
        rng = np.random.default_rng((self.seed, index, 1))
        return Image.fromarray(rng.integers(0, 256, (*self.size, 3)).astype(np.uint8))

    def labels(self, index: int) -> Labels:
        self.read.append(index)
        rng = np.random.default_rng((self.seed, index))
        channels = int(rng.integers(0, 4))
        coarse = rng.integers(0, 8, (channels, self.size[0] // 4, self.size[1] // 4))
        pixels = coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint16)
        whole = tuple(int(code) for code in rng.integers(1, 8, int(rng.integers(0, 3))))
        return Labels(pixels, whole)

    def name(self, index: int) -> str:
        return f"image-{index}"

    def identity(self) -> dict[str, Any]:
        return {"made up": self.seed, "images": self.images, "state": self.state}

    def check(self) -> list[str]:
        return self.problems


def record(folder: Path, maps: dict[str, NDArray[Any]], input_size: int = 24) -> Path:
    """Write activation maps as ``RecordedMaps`` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in maps.items():
        np.save(folder / f"{name}.npy", array)
    layers = {name: f"{name}.npy" for name in maps}
    text = json.dumps({"input_size": [input_size] * 2, "layers": layers})
    (folder / "activations.json").write_text(text, encoding="utf-8")
    return folder
