"""Scenes as a source for the exemplar builder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from milannotations.errors import InputError
from milannotations.worlds.scenes import Scene, make_scene

# Seed and number of the scenes of each of the demo's splits. Each split has its own scenes, so that
# test and training share no exemplars.
DEMO_SCENES = {"train": (1, 256), "validation": (2, 192), "test": (3, 256), "network": (4, 144)}
_SCENES_KEPT = 256  # about 200 KB each


class World:
    """A number of scenes, as a source for the exemplar builder.

    The network receives a scene's index: it reads the ground truth, not the pixels.

    Args:
        seed: Scenes of different seeds differ.
        count: Number of scenes.

    Raises:
        InputError: If count is below 1 or seed below 0.
    """

    def __init__(self, seed: int, count: int) -> None:
        if count < 1:
            raise InputError(f"a world of {count} scenes; it must have at least 1")
        if seed < 0:
            raise InputError(f"seed {seed} of a world; it must be at least 0")
        self.seed = seed
        self.count = count
        self._scene = lru_cache(maxsize=_SCENES_KEPT)(lambda index: make_scene(seed, index))

    def __len__(self) -> int:
        return self.count

    def scene(self, index: int) -> Scene:
        """Return a scene.

        Raises:
            InputError: If the index is out of range.
        """
        return self._scene(self._checked(index))

    def inputs(self, index: int) -> Tensor:
        """Return the scene's index, an int64 scalar; errors as in ``scene``."""
        return torch.tensor(self._checked(index))

    def image(self, index: int) -> Image.Image:
        """Return the scene's picture, RGB, 224 × 224."""
        return self.scene(index).image

    def name(self, index: int) -> str:
        """Return a name such as ``world-1/scene-00012``."""
        return f"world-{self.seed}/scene-{self._checked(index):05d}"

    def checksum(self, index: int) -> int:
        """Return 0: a scene depends only on its seed and index."""
        return 0

    def identity(self) -> dict[str, Any]:
        """Return the seed and the number of scenes."""
        return {"images": self.count, "world": self.seed}

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise InputError(f"scene {index} of a world of {self.count}; they count from 0")
        return index
