"""``milannotations sanity``: which metrics can be fooled on these annotations?"""

from __future__ import annotations

import typer

from benchmark.sanity.config import SanityConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, SanityConfig, "benchmark.sanity.running:check_sanity")
def sanity(config: SanityConfig, result: None) -> None:
    """Ask of every metric whether a constant, a list of words or worse can win it."""
