"""``milannotations export-catalog``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from milannotations.catalog_export.config import ExportCatalogConfig
from milannotations.command_options import command
from milannotations.terminal import Console

if TYPE_CHECKING:
    from milannotations.catalog_export.writing import CatalogReport

app = typer.Typer(add_completion=False)


@command(app, ExportCatalogConfig, "milannotations.catalog_export.running:run_export_catalog")
def export_catalog(config: ExportCatalogConfig, report: CatalogReport) -> None:
    """Write every unit's masked exemplars as PNG files, and catalog.json, a list of all units."""
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}")
    console.print(
        f"{report.units} units of {report.layers} layers, {report.images} images: {report.file}"
    )
