"""Rows of the table that ``perf/gpu.py`` prints, and their measurement."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Sizes:
    """Amounts of work.

    Attributes:
        network: The builder's network, from torchvision.
        images: Number of images for the builder.
        side: Height and width of the images.
        batch: Images per forward pass.
        readers: Processes that read image files.
        encoder: The network whose features MILAN reads; see ``ENCODERS``.
        neurons: Number of neurons that are encoded and described.
        pairs: Number of descriptions that MILAN learns from.
        words: Size of MILAN's vocabulary.
        features: Length of MILAN's features.
        sentences: Number of sentences that BERTScore encodes.
        scenes: Number of labelled scenes.
        mapped: Number of units whose masks are counted.
        ablated: Number of units of each layer that are ablated, one at a time.
    """

    network: str = "resnet50"
    images: int = 1024
    side: int = 224
    batch: int = 256
    readers: int = 8
    encoder: str = "resnet101"
    neurons: int = 16
    pairs: int = 2048
    words: int = 5000
    features: int = 3904
    sentences: int = 2000
    scenes: int = 256
    mapped: int = 512
    ablated: int = 256


SMALL = Sizes(
    network="resnet18", images=16, side=32, batch=8, readers=0, encoder="resnet18", neurons=1,
    pairs=16, words=200, features=64, sentences=40, scenes=6, mapped=8, ablated=4,
)  # fmt: skip


@dataclass(frozen=True)
class DeviceComparison:
    """One comparison of a device with the CPU.

    Attributes:
        what: What is compared.
        difference: The largest difference between the device's results and the CPU's.
        tolerance: The largest difference that passes.
        unit: What the rates count.
        rate: Units per second on the device.
        cpu_rate: Units per second on the CPU.
        of_bare: The device's rate as a share of that of bare forward passes on the device.
        note: More about the results.
    """

    what: str
    difference: float
    tolerance: float
    unit: str = ""
    rate: float = math.nan
    cpu_rate: float = math.nan
    of_bare: float = math.nan
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the results agree; NaN never does."""
        return self.difference <= self.tolerance

    def cells(self) -> list[str]:
        """Return the cells of the table's row."""
        return [
            self.what,
            _per_second(self.rate, self.unit),
            _per_second(self.cpu_rate, self.unit),
            _number(self.rate / self.cpu_rate),
            _number(self.of_bare),
            f"{self.difference:.1e}" if self.difference else "0",
            f"{self.tolerance:g}",
            "pass" if self.passed else "**FAIL**",
            self.note,
        ]


def _per_second(rate: float, unit: str) -> str:
    return "" if math.isnan(rate) else f"{_number(rate)} {unit}/s"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def table(rows: list[DeviceComparison], device: torch.device) -> str:
    """Return the rows as a Markdown table."""
    head = ["what", f"on {device.type.upper()}", "on the CPU", "ratio", "of bare passes",
            "largest difference", "tolerance", "", "note"]  # fmt: skip
    lines = [head, ["---"] * len(head), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def timed(work: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """Return a result and the seconds it took; on CUDA those of the second of two runs."""
    if device.type == "cuda":
        work()
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - start


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in convolutions."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def apart(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference of two tensors, relative to the largest magnitude."""
    actual, expected = (t.detach().cpu().double() for t in (actual, expected))
    return float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
