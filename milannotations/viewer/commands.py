"""``milannotations view``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from milannotations.command_options import command
from milannotations.terminal import Console
from milannotations.viewer.config import ViewConfig

if TYPE_CHECKING:
    from milannotations.viewer.pages import ViewReport

app = typer.Typer(add_completion=False)


@command(app, ViewConfig, "milannotations.viewer.pages:write_pages")
def view(config: ViewConfig, report: ViewReport) -> None:
    """Write pages to look at: the exemplars, activations and words of every unit."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}")
    console.print(f"{report.units} units of {report.layers} layers: open {report.page}")
