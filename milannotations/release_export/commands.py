"""``milannotations export-release``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from milannotations.command_options import command
from milannotations.release_export.config import ExportReleaseConfig
from milannotations.terminal import Console

if TYPE_CHECKING:
    from milannotations.release_export.exporter import ExportReport

app = typer.Typer(add_completion=False)


@command(app, ExportReleaseConfig, "milannotations.release_export.running:run_export_release")
def export_release(config: ExportReleaseConfig, report: ExportReport) -> None:
    """Write a network's records as masks.npy, ids.csv, annotations.csv and so on."""
    layers = ", ".join(f"{layer} ({units})" for layer, units in report.layers.items())
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{layers}; {report.annotations} annotations; images: {'yes' if report.images else 'no'}; "
        f"written to {report.path}"
    )
    for warning in report.warnings:
        console.print(f"warning: {warning}")
