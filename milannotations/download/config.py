"""What ``milannotations download`` fetches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.command_options import Config


class DownloadConfig(Config):
    """The releases to fetch, and what is done with them.

    Attributes:
        name: A config, such as alexnet-imagenet, or a group: base, cls, gen, biggan ...
        from_zip: The config's zip, if you have it: nothing is fetched.
        force: Fetch again, accept another checksum, and replace what is there.
        zip_only: Fetch and check the zip; import nothing.
        out: Folder to write; default where load() finds it.
    """

    name: Annotated[str, typer.Argument(metavar="CONFIG_OR_GROUP")]
    from_zip: Path | None = None
    force: Annotated[bool, typer.Option("--force")] = False
    zip_only: Annotated[bool, typer.Option("--zip-only")] = False
    out: Path | None = None
