"""Where the images come from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from milannotations.errors import InputError
from milannotations.record import DEFAULT_SIZE

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"})


class UnreadableImageError(InputError):
    """An image that cannot be decoded; the message names the file."""


class Source(Protocol):
    """A sequence of images, as the network sees them and as people do."""

    def __len__(self) -> int: ...

    def inputs(self, index: int) -> Tensor:
        """Return what the network receives for one image, without a batch dimension."""

    def image(self, index: int) -> Image.Image:
        """Return the same image as an exemplar: square, RGB, what the network saw of it."""

    def name(self, index: int) -> str:
        """Return a name for people, such as the file's path."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: resize, centre crop, normalize.

    Attributes:
        size: Side of the network's square input in pixels.
        resize: Length to which the shorter side is resized before the crop.
        interpolation: Name of a torchvision interpolation mode.
        mean: Subtracted from each channel, whose range is [0, 1].
        std: Each channel is divided by it.
    """

    size: int = DEFAULT_SIZE
    resize: int = 256
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def view(self, image: Image.Image) -> Image.Image:
        """Return the part of the image that the network sees, RGB, ``size`` × ``size``."""
        image = image.convert("RGB")
        if image.size == (self.size, self.size) and self.resize == self.size:
            return image
        mode = InterpolationMode(self.interpolation)
        resized = transforms.resize(image, [self.resize], interpolation=mode, antialias=True)
        return transforms.center_crop(resized, [self.size, self.size])

    def tensor(self, view: Image.Image) -> Tensor:
        """Return a view as a normalized float32 tensor of shape (3, size, size)."""
        scaled = transforms.to_dtype(transforms.pil_to_tensor(view), torch.float32, scale=True)
        return transforms.normalize(scaled, list(self.mean), list(self.std))


class ImageFolder:
    """All images below a folder, in the order of torchvision's ImageFolder.

    Args:
        root: The folder; it is searched recursively.
        preprocessing: The network's own.
        size: Side of the exemplars shown to people, in pixels.

    Raises:
        InputError: If the folder is missing or holds no image.
    """

    def __init__(
        self, root: Path, preprocessing: Preprocessing | None = None, size: int = DEFAULT_SIZE
    ) -> None:
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "does not exist"
            raise InputError(f"image folder {root} {what}")
        self.root = root
        self.preprocessing = preprocessing or Preprocessing()
        self.size = size
        paths = (p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        self.paths = sorted(
            paths, key=lambda p: (p.relative_to(root).parts[0], str(p.parent), p.name)
        )
        if not self.paths:
            known = ", ".join(sorted(EXTENSIONS))
            raise InputError(f"image folder {root} holds no image ({known}), nor do its subfolders")

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return the path of an image relative to the folder, with forward slashes."""
        return self.paths[index].relative_to(self.root).as_posix()

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
        view = self._view(index)
        return view if view.size == (self.size, self.size) else view.resize((self.size, self.size))

    def check(self, threads: int = 8) -> list[str]:
        """Open the header of every image, which takes about 0.1 ms each.

        Returns:
            For each image that has none, a message that names the file.
        """

        def problem(path: Path) -> str | None:
            try:
                with Image.open(path):
                    return None
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                return f"{path}: {_short(error)}"

        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return [p for p in pool.map(problem, self.paths) if p]

    def _view(self, index: int) -> Image.Image:
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return self.preprocessing.view(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            # Pillow reports damaged files by any of these, depending on the format.
            raise UnreadableImageError(f"{path}: {_short(error)}") from error


@dataclass(frozen=True)
class Batch:
    """What the loader hands over: the readable images, and what was wrong with the others."""

    ids: Tensor
    inputs: Tensor | None
    unreadable: list[str]


class Loadable(torch.utils.data.Dataset[tuple[int, Tensor | str]]):
    """A source as a ``torch`` dataset of ``(index, inputs)``, or of ``(index, problem)``.

    A problem is a value, not an exception, so that worker processes can hand it over whole.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[int, Tensor | str]:
        try:
            return index, self.source.inputs(index)
        except UnreadableImageError as error:
            return index, str(error)


def collate(items: Sequence[tuple[int, Tensor | str]]) -> Batch:
    """Stack the readable images of a batch."""
    good = [(index, item) for index, item in items if isinstance(item, Tensor)]
    return Batch(
        ids=torch.tensor([index for index, _ in good], dtype=torch.int64),
        inputs=torch.stack([item for _, item in good]) if good else None,
        unreadable=[item for _, item in items if isinstance(item, str)],
    )


def _short(error: BaseException) -> str:
    return str(error).split(" <_io")[0].split(" '/")[0] or type(error).__name__
