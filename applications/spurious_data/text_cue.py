"""Class names written on images, a spurious cue.

The last section of the MILAN paper (Hernandez et al., ICLR 2022) edits a network that was trained
on such images. See also Goh et al., "Multimodal Neurons in Artificial Neural Networks" (2021), for
typographic attacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from applications.class_folders import class_texts
from applications.spurious_data.config import SpuriousTextConfig
from milannotations.worlds.overlays import draw_text


class TextCue:
    """The name of a class, drawn over the image.

    Args:
        config: Position and height of the text, and the names.
        classes: Folders of the classes.

    Raises:
        InputError: If two classes have the same name, or the position or height is out of range.

    Attributes:
        listing: Name of the JSON file that lists the images.
        settings: What that file says about the settings of the cue.
        facts: What else it says about the cue.
    """

    listing: ClassVar[str] = "spurious-text.json"

    def __init__(self, config: SpuriousTextConfig, classes: Sequence[str]) -> None:
        self._config = config
        self._texts = class_texts(classes, config.names)
        self.settings = {"place": config.position, "height": config.height}
        self.facts = {"names": self._texts}
        # A trial run, so that a wrong position or height is reported before any work.
        self._draw(Image.new("RGB", (32, 32)), "a", np.random.default_rng(0))

    def draw(
        self, image: Image.Image, label: str, rng: np.random.Generator
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the image with the name of a class, and the text and its box for the listing."""
        drawn, mask = self._draw(image, self._texts[label], rng)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
        return drawn, {"text": self._texts[label], "box": box}

    def blank(self) -> dict[str, Any]:
        """Return the listing's entries for an image without text."""
        return {"text": None, "box": None}

    def _draw(
        self, image: Image.Image, text: str, rng: np.random.Generator
    ) -> tuple[Image.Image, np.ndarray]:
        config = self._config
        return draw_text(image, text, rng, position=config.position, height=config.height)
