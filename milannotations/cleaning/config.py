"""What ``milannotations clean`` lists and removes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.command_options import Config


class CleanConfig(Config):
    """Where to look, and what to remove.

    Attributes:
        folders: Where to look, with all folders below; default this one, the project's
            (MILANNOTATIONS_HOME) and, for locks of earlier versions, that of temporary files.
        remove: Remove what is listed as left over.
        unfinished: With --remove: also remove unfinished work, which the same command would resume.
    """

    folders: Annotated[tuple[Path, ...], typer.Argument()] = ()
    remove: Annotated[bool, typer.Option("--remove")] = False
    unfinished: Annotated[bool, typer.Option("--unfinished")] = False
