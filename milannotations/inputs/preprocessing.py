"""How an image becomes a network's input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.pictures import MAX_PIXELS, PictureError, to_rgb


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: resize, centre crop, normalize.

    Attributes:
        size: Height and width of the network's input in pixels; one number for a square.
        resize: Length to which the shorter side is resized before the crop; or (height, width),
            to which the image is resized without regard to its proportions.
        interpolation: Name of a torchvision interpolation mode.
        mean: Subtracted from each channel, whose range is [0, 1]; one number for a network that
            takes greyscale images, three for RGB.
        std: Each channel is divided by it.

    Raises:
        InputError: If mean and std have neither one channel nor three.
    """

    size: int | tuple[int, int] = DEFAULT_SIZE
    resize: int | tuple[int, int] = 256
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise InputError(
                f"preprocessing has {len(self.mean)} means and {len(self.std)} standard "
                "deviations; give one of each for greyscale, or three for RGB"
            )

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Preprocessing:
        """Restore what ``asdict`` gave, after it has been JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in plain.items()
        }
        return cls(**values)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def view(self, image: Image.Image) -> Image.Image:
        """Return the part of the image that the network sees, of ``shape``.

        It is RGB, with three equal channels for a network that takes greyscale images.

        Raises:
            PictureError: If the range of its pixels is unknown, or it would become too large.
        """
        image = to_rgb(image)
        height, width = self.shape
        if image.size != (width, height) or self.resize not in (min(height, width), self.shape):
            mode = InterpolationMode(self.interpolation)
            to = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            self._check_resized(image)
            resized = transforms.resize(image, to, interpolation=mode, antialias=True)
            image = transforms.center_crop(resized, [height, width])
        return image.convert("L").convert("RGB") if len(self.mean) == 1 else image

    def tensor(self, view: Image.Image) -> Tensor:
        """Return a view as a normalized float32 tensor of shape (channels, height, width)."""
        view = view.convert("L") if len(self.mean) == 1 else view
        scaled = transforms.to_dtype(transforms.pil_to_tensor(view), torch.float32, scale=True)
        return transforms.normalize(scaled, list(self.mean), list(self.std))

    def _check_resized(self, image: Image.Image) -> None:
        """Refuse a picture so narrow that its longer side would become too long."""
        if isinstance(self.resize, int):
            shorter, longer = sorted(image.size)
            if self.resize**2 * longer / shorter > MAX_PIXELS:
                raise PictureError(
                    f"it has {image.width} × {image.height} pixels, too narrow to be resized to a "
                    f"shorter side of {self.resize}"
                )
