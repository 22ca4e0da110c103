"""What ``milannotations attach-images`` fills in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.command_options import Config


class AttachConfig(Config):
    """The dataset whose images are filled in, and where they come from.

    Attributes:
        dataset: A config, such as alexnet-imagenet, or a dataset folder.
        source: Folder of the source images, with a folder per class.
        source_dataset: Instead of a folder: a dataset of them, by hub name or local folder.
        source_split: Split of that dataset.
        source_column: Its column of images, if it has several.
        geometry: crop: what the network and the annotators saw, in line with the masks; squash:
            what the original loader makes of it.
        image_format: webp, png (both lossless) or jpeg.
        out: Folder to write, instead of replacing the dataset's own.
        overwrite: Replace images that are there already, and the folder --out.
        allow_other_source: Take a source whose number of images is not the published one.
    """

    dataset: Annotated[str, typer.Argument(metavar="CONFIG_OR_FOLDER")]
    source: Path | None = None
    source_dataset: str | None = None
    source_split: str = "validation"
    source_column: str | None = None
    geometry: str = "crop"
    image_format: str = "webp"
    out: Path | None = None
    overwrite: bool = False
    allow_other_source: bool = False
