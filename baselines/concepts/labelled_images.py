"""The interface of labelled images for Network Dissection and Compositional Explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The greatest number of concepts in a data set: labels are stored in 16 bits.
MOST_CONCEPTS = 65_535


@dataclass(frozen=True)
class VisualConcept:
    """A label of pixels.

    Attributes:
        name: Its name in the data set, such as ``red-c`` or ``river``.
        category: Its primary category, such as ``object``. A label that is used in several
            categories belongs to the one in which it covers most (Network Dissection's rule).
        number: Its number in the data set.
    """

    name: str
    category: str
    number: int


@dataclass(frozen=True)
class Labels:
    """The labels of one image, as *codes*: the position in ``concepts`` plus 1, or 0 for no label.

    A pixel may have several labels, one in each channel; channels may repeat a label.

    Attributes:
        pixels: Codes, uint16 (channels, height, width); without channels if no pixel has a label
            of its own.
        whole: Codes that apply to every pixel of the image, such as a scene.
    """

    pixels: NDArray[np.uint16]
    whole: tuple[int, ...] = field(default=())


class LabelledImages(Protocol):
    """Images with labels."""

    @property
    def concepts(self) -> Sequence[VisualConcept]:
        """The labels, in the order of their numbers in the data set."""

    @property
    def categories(self) -> Sequence[str]:
        """The categories, in the order of the data set."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of the label maps if all have the same size, as in Broden; else None."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Return the whole picture, RGB.

        Raises:
            InputError: If it cannot be read; the message names the file.
        """

    def labels(self, index: int) -> Labels:
        """Return the labels of an image, which cover the whole picture.

        Raises:
            InputError: If a label map cannot be read, or contains a label that is not in the
                vocabulary; the message names the file and the value.
        """

    def name(self, index: int) -> str:
        """Return a name for people, such as the image's path below the data set's folder."""

    def identity(self) -> dict[str, Any]:
        """Return what identifies the data, as JSON; it is the same on every machine.

        It changes when an image or a label map may have changed; names, sizes and last bytes of
        files suffice.
        """

    def check(self) -> list[str]:
        """Return what is wrong with the files, at least which are missing, before long work."""
