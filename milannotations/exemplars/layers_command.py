"""``milannotations layers``."""

from __future__ import annotations

import typer

from milannotations.command_options import command
from milannotations.exemplars.config import LayersConfig

app = typer.Typer(add_completion=False)


@command(app, LayersConfig, "milannotations.exemplars.listing:print_layers")
def layers(config: LayersConfig, result: None) -> None:
    """List the layers of a network that can be named, with their units and maps."""
