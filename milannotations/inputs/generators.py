"""Generators as a source: latents in, images out, every image reproducible from a seed."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import stats
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from milannotations.defaults import DEFAULT_SIZE
from milannotations.errors import InputError
from milannotations.inputs.sources import Inputs

# Several threads ask for the images of exemplars, and there is only one generator.
_RUNNING = threading.Lock()


@dataclass(frozen=True)
class LatentSpace:
    """The latents that a generator takes.

    Attributes:
        shape: Shape of one latent vector, such as (120,) or (100, 1, 1).
        classes: Number of classes of a class-conditional generator; 0 for others.
    """

    shape: tuple[int, ...]
    classes: int = 0


class Latents:
    """Latents as a source: the image of each is the generator's output.

    A latent depends only on the seed and its index. It consists of independent normal numbers and,
    if the generator has classes, of a class drawn uniformly.

    Args:
        generator: Called with latents of shape (images, \\*shape), and labels of shape (images,) if
            there are classes; returns images of shape (images, 3, height, width) in [-1, 1].
        space: The latents that it takes.
        count: Number of latents.
        seed: Latents of different seeds differ.
        truncation: Numbers beyond it, on either side, are drawn again; None draws from the whole
            normal distribution (Brock et al., ICLR 2019, section 3.1, use values down to 0.04).
        size: Side of the exemplars shown to people, in pixels.

    Raises:
        InputError: If the number, the seed or the truncation is out of range.
    """

    def __init__(
        self,
        generator: nn.Module,
        space: LatentSpace,
        count: int,
        seed: int = 0,
        truncation: float | None = None,
        size: int = DEFAULT_SIZE,
    ) -> None:
        if count < 1:
            raise InputError(f"{count} latents; there must be at least 1")
        if seed < 0:
            raise InputError(f"seed {seed} of latents; it must be at least 0")
        if truncation is not None and truncation <= 0:
            raise InputError(f"truncation is {truncation}; it must be more than 0")
        self.generator = generator
        self.space = space
        self.count = count
        self.seed = seed
        self.truncation = truncation
        self.size = size

    def __len__(self) -> int:
        return self.count

    def inputs(self, index: int) -> Inputs:
        """Return a latent, float32 of ``space.shape``, and a label if there are classes."""
        rng = np.random.default_rng([self.seed, index])
        if self.truncation is None:
            drawn = rng.standard_normal(self.space.shape)
        else:
            ends = (-self.truncation, self.truncation)
            drawn = stats.truncnorm.rvs(*ends, size=self.space.shape, random_state=rng)
        latent = torch.from_numpy(np.asarray(drawn, dtype=np.float32))
        if not self.space.classes:
            return (latent,)
        return latent, torch.tensor(int(rng.integers(self.space.classes)))

    def image(self, index: int) -> Image.Image:
        """Return the generator's image of a latent, ``size`` × ``size``.

        It is generated alone, not in a batch, so that it does not depend on other latents.

        Raises:
            InputError: If the generator's output is not an image.
        """
        weight = next(self.generator.parameters())
        inputs = [tensor[None].to(weight.device) for tensor in self.inputs(index)]
        inputs = [x.to(weight.dtype) if x.is_floating_point() else x for x in inputs]
        with _RUNNING, torch.no_grad():
            output = self.generator(*inputs)
        if not isinstance(output, Tensor) or output.ndim != 4 or output.shape[1] != 3:
            raise InputError(
                f"the generator gives {getattr(output, 'shape', type(output).__name__)}; images "
                "have the shape N × 3 × height × width"
            )
        pixels = ((output[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
        picture: Image.Image = transforms.to_pil_image(pixels)
        if picture.size == (self.size, self.size):
            return picture
        return picture.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def name(self, index: int) -> str:
        """Return the seed, the index and the class."""
        label = f" class-{int(self.inputs(index)[1])}" if self.space.classes else ""
        return f"seed-{self.seed}/latent-{index:06d}{label}"

    def checksum(self, index: int) -> int:
        """Return 0: a latent depends only on the seed and its index."""
        return 0

    def check(self) -> list[str]:
        """Return nothing: latents cannot be damaged."""
        return []

    def identity(self) -> dict[str, Any]:
        """Return everything that the latents depend on."""
        return {
            "images": self.count,
            "latents": {**asdict(self.space), "seed": self.seed, "truncation": self.truncation},
        }
