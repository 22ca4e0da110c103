"""``milannotations build``."""

from __future__ import annotations

import typer

from milannotations.command_options import command
from milannotations.exemplars.config import BuildConfig

app = typer.Typer(add_completion=False)


@command(app, BuildConfig, "milannotations.exemplars.run:run_build")
def build(config: BuildConfig, result: None) -> None:
    """Find the images that activate each unit most, and where, as a dataset folder."""
