"""Sources of images."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from torch import Tensor

from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.file_names import shown, utf8
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.pictures import EXTENSIONS, list_images, naming, opened, problem_of

# What a network is called with, for one image or for a batch: ``module(*inputs)``.
Inputs = tuple[Tensor, ...]


class Source(Protocol):
    """A sequence of images, as the network receives them and as people see them."""

    def __len__(self) -> int: ...

    def inputs(self, index: int) -> Tensor | Inputs:
        """Return what the network receives for one image, without a batch dimension."""

    def image(self, index: int) -> Image.Image:
        """Return the same image as an exemplar: the part that the network saw, square, RGB."""

    def name(self, index: int) -> str:
        """Return a name for people, such as the file's path."""

    def checksum(self, index: int) -> int:
        """Return a number that changes if the image does; 0 for an image that cannot change."""

    def identity(self) -> dict[str, Any]:
        """Return what distinguishes these images, as the network receives them, as JSON.

        It is the same on every machine with the same images.
        """


class ImageFolder:
    """All images in a folder and its subfolders, in the order of torchvision's ImageFolder.

    Args:
        root: The folder; see ``list_images``.
        preprocessing: The network's own.
        size: Side of the exemplars shown to people, in pixels.

    Raises:
        InputError: If the folder is missing or holds no image.
    """

    def __init__(
        self, root: Path, preprocessing: Preprocessing | None = None, size: int = DEFAULT_SIZE
    ) -> None:
        self.root = root
        self.preprocessing = preprocessing or Preprocessing()
        self.size = size
        self.paths = list_images(root).paths
        if not self.paths:
            extensions = ", ".join(sorted(EXTENSIONS))
            raise InputError(
                f"image folder {shown(root)} holds no image ({extensions}), nor do its subfolders"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path of an image relative to the folder, with forward slashes, as UTF-8."""
        return utf8(self.paths[index].relative_to(self.root).as_posix())

    def inputs(self, index: int) -> Tensor:
        """Return an image as the network's input.

        Raises:
            UnreadableImageError: Names the file.
        """
        return self.preprocessing.tensor(self._view(index))

    def image(self, index: int) -> Image.Image:
        """Return an image as an exemplar.

        Raises:
            UnreadableImageError: Names the file.
        """
        return as_exemplar(self._view(index), self.size)

    def checksum(self, index: int) -> int:
        """Return the CRC-32 of the file's bytes; 0 if it cannot be read."""
        try:
            return zlib.crc32(self.paths[index].read_bytes())
        except OSError:
            return 0

    def identity(self) -> dict[str, Any]:
        """Return a hash of the names and sizes of all files, and the preprocessing."""
        entries = (f"{self.name(i)}\0{_bytes_of(path)}" for i, path in enumerate(self.paths))
        return {
            "images": len(self),
            "files": hash_of(entries),
            "preprocessing": asdict(self.preprocessing),
        }

    def check(self, threads: int = 8) -> list[str]:
        """Open the header of every image, which takes about 0.1 ms each.

        Returns:
            For each image without one, a message that names the file.
        """
        with ThreadPoolExecutor(threads) as pool:
            return [problem for problem in pool.map(problem_of, self.paths) if problem]

    def _view(self, index: int) -> Image.Image:
        with opened(self.paths[index]) as image:
            return self.preprocessing.view(image)


class Pictures(Protocol):
    """Whole pictures by index, such as the sources of ``milannotations.attach.sources``."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Image.Image:
        """Return a whole picture, RGB."""

    def name(self, index: int) -> str:
        """Return a name for people."""

    def identity(self) -> Mapping[str, Any]:
        """Return what distinguishes these pictures from others, as JSON."""


class PictureSource:
    """Whole pictures, such as those of a dataset on a hub, as a network receives them.

    Args:
        pictures: The pictures.
        preprocessing: The network's own.
        size: Side of the exemplars shown to people, in pixels.
    """

    def __init__(
        self,
        pictures: Pictures,
        preprocessing: Preprocessing | None = None,
        size: int = DEFAULT_SIZE,
    ) -> None:
        self.pictures = pictures
        self.preprocessing = preprocessing or Preprocessing()
        self.size = size

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, index: int) -> str:
        """Return the picture's own name."""
        return self.pictures.name(index)

    def inputs(self, index: int) -> Tensor:
        """Return a picture as the network's input; errors as in ``image``."""
        return self.preprocessing.tensor(self._view(index))

    def image(self, index: int) -> Image.Image:
        """Return a picture as an exemplar.

        Raises:
            UnreadableImageError: Names the picture.
        """
        return as_exemplar(self._view(index), self.size)

    def check(self) -> list[str]:
        """Return an empty list: these pictures are read only when they are needed."""
        return []

    def checksum(self, index: int) -> int:
        """Return 0: ``identity`` has the fingerprint of the dataset, which does not change."""
        return 0

    def identity(self) -> dict[str, Any]:
        """Return the pictures' own identity, and the preprocessing."""
        return {
            "images": len(self),
            "files": dict(self.pictures.identity()),
            "preprocessing": asdict(self.preprocessing),
        }

    def _view(self, index: int) -> Image.Image:
        picture = self.pictures.image(index)
        with naming(self.name(index)):
            return self.preprocessing.view(picture)


def as_exemplar(view: Image.Image, size: int) -> Image.Image:
    """Return what a network saw as an exemplar of ``size`` × ``size`` pixels."""
    return view if view.size == (size, size) else view.resize((size, size))


def hash_of(entries: Iterable[str]) -> str:
    """Return a SHA-256 of texts, in order."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(entry.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it will fail, too, and report why
        return -1
