"""What ``milannotations experiment spurious-text`` and ``spurious-color`` write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, model_validator

from applications.validators import one_of, within
from milannotations.command_options import Config, PythonOnly
from milannotations.errors import InputError

SHARES = {"border": 0.08, "tint": 0.35, "square": 0.25}
"""Styles of a spurious colour, each with its default ``amount``."""


class SpuriousConfig(Config):
    """Images with a spurious cue.

    Attributes:
        images: Folder of images, a subfolder per class; or of train, validation (or val) and test
            with such subfolders, which are then kept.
        out: Folder to write.
        fraction: Share of each class's training images that have the cue, 0 to 1.
        splits: Shares of each class's images in train, validation and test, if ``images`` has no
            such subfolders.
        size: Side that images are resized and cropped to, at least 16 pixels; default: unchanged.
        image_format: png or jpg.
        seed: Seed of splits, cues and positions; the same seed gives the same bytes.
        overwrite: Replace the folder.
    """

    images: Annotated[Path, typer.Argument()]
    out: Annotated[Path, typer.Argument()]
    fraction: Annotated[float, within(lambda value: 0 <= value <= 1, "lie between 0 and 1")] = 0.5
    splits: Annotated[tuple[float, float, float], PythonOnly] = (0.7, 0.1, 0.2)
    size: Annotated[int | None, within(lambda value: value >= 16, "be at least 16 pixels")] = None
    image_format: Annotated[str, one_of(("png", "jpg"), "image format")] = "png"
    seed: Annotated[int, Field(ge=0)] = 0
    overwrite: bool = False


class SpuriousTextConfig(SpuriousConfig):
    """Images that show the name of a class.

    Attributes:
        fraction: Share of each class's training images with its name.
        names: JSON or CSV of the text for each class, or a mapping; classes that it lacks keep the
            name of their folder.
        height: Height of the letters, as a share of the image's.
        position: Position of the text; see ``draw_text``.
    """

    names: Path | Mapping[str, str] | None = None
    height: float = 0.13
    position: Annotated[str, PythonOnly] = "random"


class SpuriousColorConfig(SpuriousConfig):
    """Images that have the colour of a class.

    >>> SpuriousColorConfig(images="images", out="color", style="tint").share
    0.35

    Attributes:
        fraction: Share of each class's training images with its colour.
        style: border (a frame), tint (the whole image) or square (at a random position).
        amount: Width of the border or side of the square, as a share of the image's shorter side;
            strength of the tint; default 0.08, 0.25, 0.35.
        colors: JSON or CSV of each class's colour, by name or as #rrggbb, or a mapping; default: a
            fixed list, in the order of the classes.
    """

    style: Annotated[str, one_of(tuple(SHARES), "style")] = "border"
    amount: float | None = None
    colors: Path | Mapping[str, str] | None = None

    @model_validator(mode="after")
    def _check_amount(self) -> SpuriousColorConfig:
        highest = 0.5 if self.style == "border" else 1.0
        if not 0 < self.share <= highest:
            raise InputError(
                f"amount of a {self.style} is {self.share}; it must be above 0 and at most "
                f"{highest:g}"
            )
        return self

    @property
    def share(self) -> float:
        """``amount``, or the default of the style."""
        return SHARES[self.style] if self.amount is None else self.amount
