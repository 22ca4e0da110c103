"""``milannotations clean``."""

from __future__ import annotations

import typer

from milannotations.cleaning.config import CleanConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, CleanConfig, "milannotations.cleaning.running:clean")
def clean(config: CleanConfig, result: None) -> None:
    """List what interrupted runs have left: half-written files, locks, unfinished work."""
