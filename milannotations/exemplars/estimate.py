"""How large a build will be, estimated from its plan before the pass."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.plan import PassPlan
from milannotations.folder import ROWS_PER_GROUP
from milannotations.progress import note

# Mean sizes of 60 exemplars (four units of EfficientNet-Lite0 in the demo data, 224 × 224 pixels).
_IMAGE_BYTES = {"jpeg": 13_000, "webp": 40_000, "png": 48_000}
_MASK_BYTES = 320
_LARGE = 4 * 2**30


@dataclass(frozen=True)
class Estimate:
    """What a build will need.

    Attributes:
        units: Units of all layers.
        memory: Bytes of the statistics of all units while the pass runs.
        disk: Bytes of the dataset folder, an upper estimate.
    """

    units: int
    memory: int
    disk: int

    @classmethod
    def of(cls, plan: PassPlan, options: BuildOptions) -> Estimate:
        """Return what a plan will need."""
        units = images = 0
        scale = (options.size / 224) ** 2
        for number, _, _ in plan.layers.values():
            units += number
            whole, rest = divmod(number, ROWS_PER_GROUP)
            images += whole * min(plan.images, ROWS_PER_GROUP * plan.k)
            images += min(plan.images, rest * plan.k)
        pictures = images * _IMAGE_BYTES[options.image_format] * scale
        disk = int(pictures + units * plan.k * _MASK_BYTES * scale)
        memory = sum(_tensor_bytes(statistics) for statistics in plan.empty("meta").values())
        return cls(units, memory, disk)


def tell_if_large(plan: PassPlan, options: BuildOptions, out: Path, device: torch.device) -> None:
    """Print how large a build will be, if that is a lot or more than half of what is free."""
    needs = Estimate.of(plan, options)
    memory, disk = _free_memory(device), _free_disk(out)
    large = needs.memory + needs.disk > _LARGE
    if not large and needs.memory < memory / 2 and needs.disk < disk / 2:
        return
    note(
        f"{needs.units:,} units of {len(plan.layers)} layers: the pass will keep "
        f"{_words(needs.memory)} in memory ({_words(memory)} are free), and the folder will take "
        f"up to about {_words(needs.disk)} ({_words(disk)} are free); name fewer layers, or choose "
        "units with --units, if that is too much"
    )


def _tensor_bytes(holder: object) -> int:
    """Return the bytes of all tensors in an object and the objects it holds."""
    if isinstance(holder, Tensor):
        return holder.nbytes
    return sum(_tensor_bytes(value) for value in getattr(holder, "__dict__", {}).values())


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:  # only Linux reports available memory, reclaimable caches included
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_disk(out: Path) -> int:
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _words(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
