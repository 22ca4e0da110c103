"""The options of ``milannotations view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.command_options import Config
from milannotations.shared_options import Names


class ViewConfig(Config):
    """Which units the pages show, and where they are written.

    Attributes:
        dataset: demo, a config or group, a dataset folder, a Parquet file, or a repository on the
            hub.
        out: Folder to write.
        split: One split; default all of them.
        descriptions: CSV or Parquet file that `milannotations describe` wrote; repeatable, one per
            method, which is named after its file.
        layers: Names or patterns, such as 'layer1,blocks.*'; repeatable; default all.
        units: Numbers and ranges, such as '0:100' or '0-99,512'; default all.
        title: Heading of the page; default the network's name.
        overwrite: Replace the output folder.
    """

    dataset: Annotated[str, typer.Argument()]
    out: Path
    split: str | None = None
    descriptions: tuple[Path, ...] = ()
    layers: Names = ()
    units: str | None = None
    title: str | None = None
    overwrite: bool = False
