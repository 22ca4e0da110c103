"""``milannotations dissect``."""

from __future__ import annotations

import typer

from baselines.concepts.config import DissectConfig
from milannotations.command_options import command
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@command(app, DissectConfig, "baselines.concepts.dissecting:dissect")
def dissect(config: DissectConfig, lines: list[str]) -> None:
    """Find which labels of segmented images each unit of a network's layers goes with."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
    console.print(f"Report: {config.out.resolve() / 'index.html'}")
