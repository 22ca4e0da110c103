"""``milannotations download``."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from milannotations.command_options import command
from milannotations.download.config import DownloadConfig

app = typer.Typer(add_completion=False)


@command(app, DownloadConfig, "milannotations.download.running:run_download")
def download(config: DownloadConfig, lines: Iterator[str]) -> None:
    """Fetch original releases and import them; run it again to continue after an interruption.

    Hosts in MILANNOTATIONS_MIRRORS are asked before the authors'.
    """
    for line in lines:
        typer.echo(line)
