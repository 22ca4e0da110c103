"""How exemplars are chosen, and how the pass over the images runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import Field

from milannotations.defaults import DEFAULT_K, DEFAULT_QUANTILE, DEFAULT_SIZE, IMAGE_FORMATS
from milannotations.errors import InputError
from milannotations.rules import InPlace, MaskRule, checked_in_place, checked_mask_rule
from milannotations.units import UnitSelection

DTYPES = ("float32", "bf16", "fp16")


@dataclass(frozen=True)
class BuildOptions:
    """How exemplars are chosen and stored; defaults follow the MILAN paper, section 3.1.

    Attributes:
        k: Exemplars per unit.
        quantile: Activation quantile, over all positions of all images, that is the threshold.
        size: Side of exemplars and masks in pixels.
        batch_size: Images per forward pass; halved where memory does not suffice.
        readers: Processes that read images; 0 reads in the main process.
        units: Which units of every layer, see ``UnitSelection``; None for all.
        image_format: jpeg, or lossless png or webp.
        skip_unreadable: Leave out images that cannot be read, and report them, instead of stopping.
        dtype: What the network computes in: float32, bf16 or fp16. Statistics are always float32.
        channels_last: Lay images out channels last: faster on some processors.
        compile: Compile the network; pays on long runs only.
        checkpoint_seconds: Seconds of work that an interruption may cost.
        in_place: Whether outputs that a later module changes in place are read ``before`` or
            ``after`` that; see ``milannotations.hook_points.in_place``.
        masks: How maps become masks: ``bilinear`` or ``original``; see ``render_masks``.
    """

    k: Annotated[int, Field(ge=1)] = DEFAULT_K
    quantile: float = DEFAULT_QUANTILE
    size: int = DEFAULT_SIZE
    batch_size: int = 32
    readers: int = 0
    image_format: str = "jpeg"
    skip_unreadable: bool = False
    dtype: str = "float32"
    channels_last: bool = False
    compile: Annotated[bool, typer.Option("--compile")] = False
    checkpoint_seconds: Annotated[float, typer.Option("--checkpoint-every")] = 60.0
    in_place: InPlace = "before"
    masks: MaskRule = "bilinear"
    units: str | None = None

    def check(self, images: int) -> None:
        """Raise InputError for values that cannot work with that many images."""
        for name, value, least in (
            ("k", self.k, 1),
            ("batch size", self.batch_size, 1),
            ("size", self.size, 1),
            ("readers", self.readers, 0),
        ):
            if value < least:
                raise InputError(f"{name} is {value}; it must be at least {least}")
        if self.k > images:
            raise InputError(f"k is {self.k}, but there are only {images} images")
        if not 0 < self.quantile < 1:
            raise InputError(f"quantile is {self.quantile}; it must lie between 0 and 1")
        if self.units is not None:
            UnitSelection.parse(self.units)
        if self.image_format not in IMAGE_FORMATS:
            raise InputError(
                f"image format {self.image_format!r}; choose one of {sorted(IMAGE_FORMATS)}"
            )
        if self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype!r}; choose one of {', '.join(DTYPES)}")
        checked_in_place(self.in_place)
        checked_mask_rule(self.masks)
        if self.checkpoint_seconds <= 0:
            raise InputError(
                f"a checkpoint every {self.checkpoint_seconds} seconds; it must be more than 0"
            )
