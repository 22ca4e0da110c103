"""``milannotations quality``."""

from __future__ import annotations

import typer

from benchmark.quality.config import QualityConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, QualityConfig, "benchmark.quality.writing:print_quality")
def quality(config: QualityConfig, result: None) -> None:
    """Report the quality of annotations and exemplars, per layer, per network, and in total."""
