"""``milannotations attach-images``."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from milannotations.attach.config import AttachConfig
from milannotations.command_options import command
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@command(app, AttachConfig, "milannotations.attach.running:run_attach_images")
def attach_images(config: AttachConfig, lines: Iterator[str]) -> None:
    """Fill in the images of a release that came without them, from your own copy."""
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
