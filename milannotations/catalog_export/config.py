"""What ``milannotations export-catalog`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.shared_options import Names, OverwriteConfig


class ExportCatalogConfig(OverwriteConfig):
    """Which units are written, and how.

    Attributes:
        dataset: demo, a config, a dataset folder, a Parquet file, or a repository on the hub.
        out: Folder to write.
        split: Which split, if there are several.
        descriptions: CSV or Parquet file that `milannotations describe` wrote; repeatable, one per
            method, which is named after its file.
        layers: Names or patterns, such as 'layer1,blocks.*'; repeatable; default all.
        units: Numbers and ranges, such as '0-99,512'; default all.
        images: Write the PNG files, or the list alone.
        opacity: How much is hidden outside the masks: 0 nothing, 1 everything.
        base_url: What the paths of the images begin with in the list.
    """

    dataset: Annotated[str, typer.Argument()]
    out: Path
    split: str | None = None
    descriptions: tuple[Path, ...] = ()
    layers: Names = ()
    units: str | None = None
    images: bool = True
    opacity: float = 0.75
    base_url: str = ""
