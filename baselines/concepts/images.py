"""Labelled images as a network sees them, and their labels aligned with them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from baselines.concepts.labelled_images import LabelledImages, Labels
from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.inputs.sources import as_exemplar

# How a picture becomes square: squashed as a whole, or cropped to its middle.
FRAMES = ("squash", "crop")


class ConceptImages:
    """The images of a labelled data set, as a source for a network.

    The whole frame is resized to the size of the network's input. The network's own cropping is not
    applied, so that labels and activation maps cover the same region of the picture.

    Args:
        concepts: The labelled images.
        frame: One of ``FRAMES``.
        preprocessing: That of the network; its ``resize`` is not used.
        size: Side of exemplars for display, in pixels.
    """

    def __init__(
        self,
        concepts: LabelledImages,
        frame: str,
        preprocessing: Preprocessing | None = None,
        size: int = DEFAULT_SIZE,
    ) -> None:
        self.concepts = concepts
        self.frame = check_frame(frame)
        preprocessing = preprocessing or Preprocessing()
        self.preprocessing = replace(preprocessing, resize=preprocessing.shape)
        self.size = size

    def __len__(self) -> int:
        return len(self.concepts)

    def name(self, index: int) -> str:
        """Return the data set's own name of the image."""
        return self.concepts.name(index)

    def inputs(self, index: int) -> Tensor:
        """Return an image as the network's input; errors as in ``LabelledImages.image``."""
        return self.preprocessing.tensor(self._view(index))

    def image(self, index: int) -> Image.Image:
        """Return an image as an exemplar; errors as in ``LabelledImages.image``."""
        return as_exemplar(self._view(index), self.size)

    def checksum(self, index: int) -> int:
        """Return 0, as ``identity`` already changes with the data."""
        return 0

    def identity(self) -> dict[str, Any]:
        """Return the identity of the data, and how the network sees it."""
        return {
            "images": len(self),
            "files": self.concepts.identity(),
            "frame": self.frame,
            "preprocessing": asdict(self.preprocessing),
        }

    def _view(self, index: int) -> Image.Image:
        picture = self.concepts.image(index)
        left, top, right, bottom = _frame(picture.height, picture.width, self.frame)
        return self.preprocessing.view(picture.crop((left, top, right, bottom)))


def framed_labels(labels: Labels, frame: str, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Return label maps aligned with the picture as the network sees it, flattened.

    Each pixel gets the label at its centre (nearest neighbour).

    Returns:
        Codes of shape (channels, height × width).
    """
    maps = labels.pixels
    height, width = shape
    if not len(maps):
        return np.zeros((0, height * width), dtype=np.uint16)
    if maps.shape[1:] != shape:
        left, top, right, bottom = _frame(maps.shape[1], maps.shape[2], frame)
        rows = top + _centres(bottom - top, height)
        columns = left + _centres(right - left, width)
        maps = maps[:, rows[:, None], columns]
    return np.ascontiguousarray(maps, dtype=np.uint16).reshape(len(maps), -1)


def check_frame(frame: str) -> str:
    """Return the frame; raise InputError if it is not one of ``FRAMES``."""
    if frame not in FRAMES:
        raise InputError(f"frame {frame!r}; choose one of {', '.join(FRAMES)}")
    return frame


def _frame(height: int, width: int, frame: str) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the region of a picture that is used."""
    if frame == "squash":
        return 0, 0, width, height
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _centres(length: int, wanted: int) -> NDArray[np.int64]:
    return ((np.arange(wanted) + 0.5) * length / wanted).astype(np.int64)
