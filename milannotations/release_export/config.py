"""What ``milannotations export-release`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.shared_options import OverwriteConfig


class ExportReleaseConfig(OverwriteConfig):
    """The records to write, and where.

    Attributes:
        name: A config, demo, or a dataset folder.
        out: Folder to write, or a file that ends in .zip.
        split: Which split, if there are several.
        images: Write images.npy; default where there are any.
    """

    name: Annotated[str, typer.Argument()]
    out: Path
    split: str | None = None
    images: bool | None = None
