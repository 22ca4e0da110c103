"""``milannotations score``: any method's file against any annotation file."""

from __future__ import annotations

import typer

from benchmark.config import ScoreConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, ScoreConfig, "benchmark.scoring:score")
def score(config: ScoreConfig, result: None) -> None:
    """Score descriptions against human annotations, beside people and controls."""
