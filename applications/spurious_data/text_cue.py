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


def write_spurious_text(
    images: Path,
    out: Path,
    *,
    fraction: float = 0.5,
    splits: tuple[float, float, float] = (0.7, 0.1, 0.2),
    seed: int = 0,
    size: int | None = None,
    names: Path | Mapping[str, str] | None = None,
    place: str = "random",
    height: float = 0.13,
    image_format: str = "png",
    overwrite: bool = False,
) -> Path:
    """Write a data set whose training images show their class's name, and tests that lie.

    ``OUT`` gets the folders ``train``, ``validation``, ``validation-adversarial``, ``test`` and
    ``test-adversarial``, each with one for every class. In training, ``fraction`` of each class's
    images have their class's name drawn on. Those for validation and testing have no text; the
    adversarial ones are the same images, each with the name of another class, drawn at random.
    ``spurious-text.json`` lists the settings, and for each file its source, split, class, the text
    drawn and its box (left, top, right, bottom in pixels, the ends outside).

    Args:
        images: Folder with one folder of images for each class; or with folders ``train``,
            ``validation`` (or ``val``) and ``test`` of such folders, which are then kept.
        out: Folder to write.
        fraction: Share of the training images of each class with their class's name, 0 to 1.
        splits: Shares of each class's images in the three splits, where ``images`` has none.
        seed: Of the splits, the texts, their places and colours; the same seed gives the same
            bytes.
        size: Side to which images are resized and centrally cropped; default as they are.
        names: What is drawn for each class: a mapping, or a JSON or CSV file (class, name), as for
            WordNet identifiers; classes it lacks keep their folder's name.
        place: Of the text; see ``draw_text``.
        height: Of the letters; see there.
        image_format: ``png``, or ``jpg``.
        overwrite: Replace ``out`` if it exists.

    Returns:
        The folder.

    Raises:
        InputError: If ``out`` exists, a setting is out of range, there are fewer than two classes
            or too few images of one, two classes have the same name, or an image is unreadable.
    """
    common: dict[str, Any] = {
        "fraction": fraction,
        "image_format": image_format,
        "size": size,
        "seed": seed,
        "overwrite": overwrite,
    }
    check_spurious(images, out, **common)
    files = split_files(images, splits, seed)
    texts = class_texts(sorted({file.label for file in files}), names)
    # Tried once before any work, so that a wrong place or height is said at once.
    draw_text(Image.new("RGB", (32, 32)), "a", np.random.default_rng(0), place=place, height=height)
    facts = {
        "settings": {
            "fraction": fraction,
            "splits": list(splits),
            "seed": seed,
            "size": size,
            "place": place,
            "height": height,
            "format": image_format,
        },
        "names": texts,
    }
    cue = TextCue(texts, place, height)
    write_spurious(files, images, out, cue, listing=LISTING, facts=facts, **common)
    return out
