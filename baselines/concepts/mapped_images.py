"""Labelled images whose labels are pictures of class numbers, one or more for each image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baselines.concepts.dataset_files import (
    check_inside,
    codes_of,
    missing_files,
    open_inside,
    rgb_inside,
)
from baselines.concepts.labelled_images import Labels, VisualConcept
from milannotations.errors import InputError
from milannotations.pictures import list_images, size_of


class MappedImages(ABC):
    """Labelled images in a folder, with maps of class numbers below the same or another folder.

    Args:
        root: The folder of the images, which no link may leave.
        images: The images.
        maps: The maps of each image; each becomes a channel.
        classes: The concepts whose numbers the maps contain.
        scenes: The scene of each image, or None; scenes become concepts after the classes.
        maps_root: The folder of the maps, which no link may leave; default that of the images.
    """

    shape: tuple[int, int] | None = None

    def __init__(
        self,
        root: Path,
        images: Sequence[Path],
        maps: Sequence[Sequence[Path]],
        classes: Sequence[VisualConcept],
        scenes: Sequence[str | None] = (),
        maps_root: Path | None = None,
    ) -> None:
        self._root, self._maps_root = root, maps_root or root
        self._images, self._maps = list(images), list(maps)
        # Scenes have no numbers of their own: they follow the classes.
        names = sorted({scene for scene in scenes if scene})
        first = max((concept.number for concept in classes), default=0) + 1
        added = (VisualConcept(name, "scene", first + i) for i, name in enumerate(names))
        self.concepts = (*classes, *added)
        self._codes = codes_of(classes)
        code = {name: len(classes) + 1 + i for i, name in enumerate(names)}
        self._whole = [(code[scene],) if scene else () for scene in scenes] or [()] * len(images)

    def __len__(self) -> int:
        return len(self._images)

    def image(self, index: int) -> Image.Image:
        """Return a picture; InputError if it cannot be read."""
        return rgb_inside(self._root, self._images[index])

    def labels(self, index: int) -> Labels:
        """Return the labels of an image: one channel for each of its maps.

        Raises:
            InputError: If a map is missing or damaged, differs in size from the picture, or
                contains a number that is no class.
        """
        channels = []
        for path in self._maps[index]:
            numbers = self._numbers(open_inside(self._maps_root, path), path, index)
            self._check_size(path, numbers, self._images[index])
            channels.append(self._codes.find(numbers, path))
        return Labels(np.stack(channels), self._whole[index])

    def name(self, index: int) -> str:
        """Return the file name of an image."""
        return self._images[index].name

    def identity(self) -> dict[str, Any]:
        """Return hashes of the labels, and of the names, sizes and last bytes of all files."""
        return self._identity

    def check(self) -> list[str]:
        """Return which pictures and maps are missing, or are links out of their folder."""
        return missing_files([*self._images, *self._map_files], self._root, self._maps_root)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return self._hashes()

    @abstractmethod
    def _hashes(self) -> dict[str, Any]:
        """Return hashes of the labels and of the names, sizes and last bytes of all files."""

    @property
    def _map_files(self) -> list[Path]:
        return [path for maps in self._maps for path in maps]

    @abstractmethod
    def _numbers(self, picture: Image.Image, path: Path, index: int) -> NDArray[np.int64]:
        """Return the class number of each pixel of a map, (height, width)."""

    def _check_size(self, path: Path, pixels: NDArray[Any], image: Path) -> None:
        check_inside(self._root, image)
        width, height = size_of(image)  # from the header
        if pixels.shape != (height, width):
            size = " × ".join(map(str, pixels.shape))
            raise InputError(f"{path} is {size}, and {image.name} {height} × {width}")


def photographs(folder: Path, deep: bool = False) -> list[Path]:
    """Return the JPEG files in a folder, with ``deep`` also below it; none if it is missing."""
    listed = list_images(folder).paths if folder.is_dir() else []
    return sorted(p for p in listed if p.suffix == ".jpg" and (deep or p.parent == folder))


def greyscale_numbers(picture: Image.Image, path: Path, content: str) -> NDArray[np.int64]:
    """Return the values of a greyscale picture; InputError if it has another mode."""
    values = np.asarray(picture)
    if values.ndim != 2:
        raise InputError(f"{path} is no greyscale picture of {content}")
    return values.astype(np.int64)
