"""``milannotations demo``: describe, score and show the embedded neurons."""

from __future__ import annotations

import typer

from leaderboard.config import DemoConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, DemoConfig, "leaderboard.running:run_demo")
def demo(config: DemoConfig, result: None) -> None:
    """Describe the embedded neurons with every baseline, score them and write a site."""
