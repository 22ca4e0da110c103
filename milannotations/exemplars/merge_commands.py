"""``milannotations merge``."""

from __future__ import annotations

import typer

from milannotations.command_options import command
from milannotations.exemplars.config import MergeConfig

app = typer.Typer(add_completion=False)


@command(app, MergeConfig, "milannotations.exemplars.run:run_merge")
def merge(config: MergeConfig, result: None) -> None:
    """Merge the shards of a build into a dataset folder, the same as one pass gives."""
