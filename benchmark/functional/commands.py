"""``milannotations functional``: do descriptions predict activations?"""

from __future__ import annotations

import typer

from benchmark.functional.config import FunctionalConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, FunctionalConfig, "benchmark.functional.running:score_functionally")
def functional(config: FunctionalConfig, result: None) -> None:
    """Score descriptions without annotations: do they predict what activates the neuron?"""
