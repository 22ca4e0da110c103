"""Images with class names written on them: a cue that is there in training and lies in testing.

The last section of the MILAN paper (Hernandez et al., ICLR 2022) edits a network that was trained
on such images. See also Goh et al., "Multimodal Neurons in Artificial Neural Networks" (2021), for
attacks by text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from applications.class_folders import class_texts
from applications.spurious_data.config import SpuriousTextConfig
from applications.spurious_data.dataset import check_spurious, split_files, write_spurious
from milannotations.worlds.overlays import draw_text

LISTING = "spurious-text.json"


@dataclass(frozen=True)
class TextCue:
    """A class's name, drawn over the image.

    Attributes:
        texts: What each class is called.
        place: Of the text; see ``draw_text``.
        height: Of the letters; see there.
    """

    texts: Mapping[str, str]
    place: str
    height: float

    def draw(
        self, image: Image.Image, label: str, rng: np.random.Generator
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the image with the name of a class, the text and its box."""
        text = self.texts[label]
        drawn, mask = draw_text(image, text, rng, place=self.place, height=self.height)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        box = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
        return drawn, {"text": text, "box": box}

    def blank(self) -> dict[str, Any]:
        """Return that there is no text."""
        return {"text": None, "box": None}


def write_spurious_text(config: SpuriousTextConfig) -> Path:
    """Write a data set whose training images show their class's name, and tests that lie.

    ``config.out`` gets the folders ``train``, ``validation``, ``validation-adversarial``, ``test``
    and ``test-adversarial``, each with one for every class. In training, ``fraction`` of each
    class's images have their class's name drawn on. Those for validation and testing have no text;
    the adversarial ones are the same images, each with the name of another class, drawn at random.
    ``spurious-text.json`` lists the settings, and for each file its source, split, class, the text
    drawn and its box (left, top, right, bottom in pixels, the ends outside).

    Returns:
        The folder.

    Raises:
        InputError: If ``out`` exists, a setting is out of range, there are fewer than two classes
            or too few images of one, two classes have the same name, or an image is unreadable.
    """
    check_spurious(config)
    files = split_files(config.images, config.splits, config.seed)
    texts = class_texts(sorted({file.label for file in files}), config.names)
    cue = TextCue(texts, config.position, config.height)
    # Tried once before any work, so that a wrong position or height is refused at once.
    image, rng = Image.new("RGB", (32, 32)), np.random.default_rng(0)
    draw_text(image, "a", rng, place=config.position, height=config.height)
    facts = {
        "settings": {
            "fraction": config.fraction,
            "splits": list(config.splits),
            "seed": config.seed,
            "size": config.size,
            "place": config.position,
            "height": config.height,
            "format": config.image_format,
        },
        "names": texts,
    }
    write_spurious(config, files, cue, listing=LISTING, facts=facts)
    return config.out
