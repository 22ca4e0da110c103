"""What ``milannotations import-release`` converts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.shared_options import OverwriteConfig


class ImportReleaseConfig(OverwriteConfig):
    """The release to convert, what it is called, and where it goes.

    Attributes:
        source: Zip or folder of a release, or an annotations.csv alone.
        config: Its config, such as alexnet-imagenet; default the file's name, if it is a known one.
        model: Architecture, if it is no known config.
        dataset: Data that the model was trained on.
        out: Folder to write; default where load() finds it.
        image_format: Lossless webp or png, or jpeg, which is smaller but not exact.
        drop_unknown: Leave out annotations of units that do not exist.
    """

    source: Annotated[Path, typer.Argument()]
    config: str | None = None
    model: str | None = None
    dataset: str | None = None
    out: Path | None = None
    image_format: str = "webp"
    drop_unknown: bool = False
