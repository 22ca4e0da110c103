"""What ``milannotations experiment spurious-text`` and ``spurious-color`` write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from milannotations.command_options import Config, PythonOnly


class SpuriousConfig(Config):
    """Images with a spurious cue.

    Attributes:
        images: Folder of images, a subfolder per class; or of train, validation (or val) and test
            with such subfolders, which are then kept.
        out: Folder to write.
        fraction: Share of each class's training images that have the cue.
        splits: Shares of each class's images in the three splits, where ``images`` has none.
        size: Side that images are resized and cropped to; default as they are.
        image_format: png or jpg.
        seed: Seed of splits, cues and positions; the same seed gives the same bytes.
        overwrite: Replace the folder.
    """

    images: Annotated[Path, typer.Argument()]
    out: Annotated[Path, typer.Argument()]
    fraction: float = 0.5
    splits: Annotated[tuple[float, float, float], PythonOnly] = (0.7, 0.1, 0.2)
    size: int | None = None
    image_format: str = "png"
    seed: Annotated[int, Field(ge=0)] = 0
    overwrite: bool = False


class SpuriousTextConfig(SpuriousConfig):
    """Images that show the name of a class.

    Attributes:
        fraction: Share of training images with their class's name.
        names: JSON or CSV of what is written for each class, or a mapping; classes that it lacks
            have their folder's name.
        height: Height of the letters, as a share of the image's.
        position: Where the text is; see ``draw_text``.
    """

    names: Path | Mapping[str, str] | None = None
    height: float = 0.13
    position: Annotated[str, PythonOnly] = "random"


class SpuriousColorConfig(SpuriousConfig):
    """Images that have the colour of a class.

    Attributes:
        fraction: Share of training images with their class's colour.
        style: border, tint or square.
        amount: Width of the border or side of the square, as a share of the image's shorter side;
            strength of the tint; default 0.08, 0.25, 0.35.
        colors: JSON or CSV of each class's colour, by name or as #rrggbb, or a mapping; default by
            their order.
    """

    style: str = "border"
    amount: float | None = None
    colors: Path | Mapping[str, str] | None = None
