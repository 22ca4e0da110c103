"""Rendered scenes as labelled images, with exact labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.labelled_images import Labels, VisualConcept
from milannotations.errors import InputError
from milannotations.numerals import count_of
from milannotations.worlds import Anything, Background, Part, World
from milannotations.worlds.scenes import ATTRIBUTES, BACKGROUNDS, SIZE, Scene
from milannotations.worlds.spatial import PARTS

_VALUES = [(kind, value) for kind, values in ATTRIBUTES.items() for value in values]


class LabelledScenes:
    """Rendered scenes: shapes, colours, textures and sizes of objects, backgrounds, and parts.

    Concepts are those of ``milannotations.worlds``: each has one label, whose pixels are the
    concept's own mask. A part is that of any object.

    >>> LabelledScenes(seed=0, scenes=2).labels(0).pixels.shape[1:]
    (224, 224)

    Args:
        seed: Seed of the scenes; see ``World``.
        scenes: Number of scenes.

    Raises:
        InputError: If one of them makes no sense.
    """

    categories = (*ATTRIBUTES, "background", "part")

    def __init__(self, seed: int, scenes: int) -> None:
        self._world = World(seed, scenes)
        self.seed = seed
        self.shape: tuple[int, int] | None = None
        named = [*_VALUES, *(("background", Background(kind).key) for kind in BACKGROUNDS)]
        named += [("part", name) for name in PARTS]
        self.concepts = tuple(
            VisualConcept(name, kind, i + 1) for i, (kind, name) in enumerate(named)
        )
        self._code = {(c.category, c.name): i + 1 for i, c in enumerate(self.concepts)}

    def __len__(self) -> int:
        return len(self._world)

    def image(self, index: int) -> Image.Image:
        """Return a scene's picture, 224 × 224."""
        return self._world.image(index)

    def labels(self, index: int) -> Labels:
        """Return a scene's labels at 224 × 224: a channel for each kind of attribute and part."""
        scene = self._world.scene(index)
        channels = [self._attribute(scene, kind) for kind in ATTRIBUTES]
        # The background is where there is no object, so it shares a channel with the shapes.
        ground = self._code["background", Background(scene.background).key]
        channels[0][scene.owner < 0] = ground
        for name in PARTS:
            mask = Part(name, Anything()).mask(scene)
            channels.append(np.where(mask, self._code["part", name], 0).astype(np.uint16))
        return Labels(np.stack(channels))

    def name(self, index: int) -> str:
        """Return the scene's name."""
        return self._world.name(index)

    def identity(self) -> dict[str, Any]:
        """Return the seed and the number of scenes."""
        return self._world.identity()

    def check(self) -> list[str]:
        """Return nothing: scenes cannot be damaged."""
        return []

    def _attribute(self, scene: Scene, kind: str) -> NDArray[np.uint16]:
        codes = [self._code[kind, getattr(item, kind)] for item in scene.objects]
        # The last entry stands for index -1, the background.
        of_owner = np.array([*codes, 0], dtype=np.uint16)
        codes_of_pixels: NDArray[np.uint16] = of_owner[scene.owner]
        assert codes_of_pixels.shape == (SIZE, SIZE)
        return codes_of_pixels


def open_worlds(size: str) -> LabelledScenes:
    """Open ``worlds:SEED:SCENES``; see ``LabelledScenes``.

    Raises:
        InputError: If the seed or the number of scenes is no whole number.
    """
    seed, _, scenes = size.partition(":")
    number, count = count_of(seed), count_of(scenes)
    if number is None or count is None:
        raise InputError(f"labelled images 'worlds:{size}': write worlds:SEED:SCENES")
    return LabelledScenes(number, count)
