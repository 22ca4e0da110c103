"""Networks whose units are certain, and networks that misbehave at a known moment.

They can be named on the command line: ``tests.milannotations.exemplars.networks:colours``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2.functional import pil_to_tensor

from milannotations.catalog.models import LoadedModel
from milannotations.inputs.preprocessing import Preprocessing

SIDE = 64
IDENTITY = Preprocessing(size=SIDE, resize=SIDE, mean=(0.0,) * 3, std=(1.0,) * 3)


class Colours(nn.Module):
    """Two units: red without the others, and green without the others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.Conv2d(2, 2, 1)
        with torch.no_grad():
            for parameter in self.unused.parameters():
                parameter.zero_()  # so that all instances have the same weights
            self.conv.weight[:] = torch.tensor([[1.0, -1, -1], [-1, 1, -1]])[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.relu(self.conv(x))).flatten(1).softmax(1)


def write(text: str, at: tuple[int, int], picture: Image.Image) -> None:
    """Write in white with Pillow's own font."""
    ImageDraw.Draw(picture).text(at, text, fill=(255, 255, 255), anchor="lt")


class Edges(nn.Module):
    """Three units: vertical edges, horizontal edges, and the word ``cat``."""

    def __init__(self) -> None:
        super().__init__()
        word = Image.new("RGB", (25, 15))
        write("cat", (2, 2), word)
        glyphs = pil_to_tensor(word)[:1].float() / 255
        glyphs -= glyphs.mean()
        sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        self.edges = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.word = nn.Conv2d(1, 1, (15, 25), padding=(7, 12), bias=False)
        self.units = nn.Identity()
        with torch.no_grad():
            self.edges.weight[:] = torch.stack([sobel, sobel.T])[:, None]
            # Gives 1 where the word stands, by its own norm; less wherever anything else does.
            self.word.weight[:] = glyphs[None] / glyphs.square().sum()

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(1, keepdim=True)
        inner = functional.pad(torch.ones_like(grey)[:, :, 1:-1, 1:-1], (1, 1, 1, 1))
        return self.units(torch.cat([self.edges(grey).abs() * inner, self.word(grey).relu()], 1))


class Interrupted(nn.Module):
    """Colours, but the process that runs it is killed at the forward pass of that number.

    It happens once: the file ``mark`` says that it has.
    """

    def __init__(self, at: int, mark: Path) -> None:
        super().__init__()
        self.colours = Colours()
        self.at = at
        self.mark = mark
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        if self.passes == self.at and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.colours(x)


class ShortOfMemory(nn.Module):
    """Colours, with room for batches of a limited size; what comes before the limit is run."""

    def __init__(self, limit: int, error: Callable[[str], RuntimeError]) -> None:
        super().__init__()
        self.colours = Colours()
        self.limit = limit
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        maps = self.colours.conv(x)
        if len(x) > self.limit:
            raise self.error("CUDA out of memory. Tried to allocate 2 GiB")
        return self.colours.relu(maps)


def colours() -> LoadedModel:
    """Return the red and the green unit."""
    return LoadedModel(Colours(), "colours", "hand", IDENTITY)


def interrupted() -> LoadedModel:
    """Return the same, killed once; see the environment variables it reads."""
    module = Interrupted(int(os.environ["KILLED_AT"]), Path(os.environ["KILLED_MARK"]))
    return LoadedModel(module, "colours", "hand", IDENTITY)
