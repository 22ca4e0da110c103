"""What a data set of labelled images looks like to the dissection baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The greatest number of concepts a data set can have: labels are stored in 16 bits.
MOST_CONCEPTS = 65_535


@dataclass(frozen=True)
class VisualConcept:
    """One thing that pixels can be labelled as.

    Attributes:
        name: Its name as the data set writes it, such as ``red-c`` or ``river``.
        category: Its primary category, such as ``object``: where a label is used in several, the
            one in which it covers most (Network Dissection's rule).
        number: The data set's own number of the label.
    """

    name: str
    category: str
    number: int


@dataclass(frozen=True)
class Labels:
    """What is labelled in one image. Labels are *codes*: position in ``concepts`` + 1; 0 is none.

    A pixel may have several labels, one in each channel; channels may repeat a label.

    Attributes:
        pixels: Codes of shape (channels, height, width), unsigned 16 bits; of no channels where
            nothing is labelled by pixel.
        whole: Codes that hold for every pixel of the image, such as a scene.
    """

    pixels: NDArray[np.uint16]
    whole: tuple[int, ...] = field(default=())


class LabelledImages(Protocol):
    """Images with labels."""

    @property
    def concepts(self) -> Sequence[VisualConcept]:
        """What can be labelled, in the order of the data set's own numbers."""

    @property
    def categories(self) -> Sequence[str]:
        """Their categories, in the data set's own order."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of the label maps where they are to be used as they are, as in Broden.

        None where images have sizes of their own.
        """

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Return the whole picture, RGB.

        Raises:
            InputError: If it cannot be read; the message names the file.
        """

    def labels(self, index: int) -> Labels:
        """Return what is labelled in an image: maps that cover the whole picture.

        Raises:
            InputError: If a label map cannot be read, or holds a label that is not in the
                vocabulary; the message names the file and the value.
        """

    def name(self, index: int) -> str:
        """Return a name for people, such as the image's path below the data set's folder."""

    def identity(self) -> dict[str, Any]:
        """Return what tells this data from other, as JSON, the same on every machine.

        It changes whenever an image or a label map may have (names, sizes and ends of files will
        do).
        """

    def check(self) -> list[str]:
        """Return what is wrong with files, before long work: at least each one that is missing."""
