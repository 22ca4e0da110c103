"""``milannotations export-catalog``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.options import split_names
from milannotations.progress import silence_libraries
from milannotations.storage import check_target
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def export_catalog(
    dataset: Annotated[
        str,
        typer.Argument(
            help="demo, a config, a dataset folder, a Parquet file, or a repository on the hub"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder to write")],
    split: Annotated[str | None, typer.Option(help="which, if there are several")] = None,
    descriptions: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV or Parquet file that `milannotations describe` wrote; repeatable, one per "
            "method, which is named after its file"
        ),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(help="names or patterns, as 'layer1,blocks.*'; repeatable; default all"),
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="numbers and ranges, as '0-99,512'; default all")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="write the PNG files, or the list alone")
    ] = True,
    opacity: Annotated[
        float, typer.Option(help="how much is hidden outside the masks: 0 nothing, 1 everything")
    ] = 0.75,
    base_url: Annotated[
        str, typer.Option(help="what stands before the images' paths in the list")
    ] = "",
    overwrite: Annotated[bool, typer.Option(help="replace the output folder")] = False,
) -> None:
    """Write every unit's masked exemplars as PNG files, and catalog.json, a list of all units."""
    from milannotations.catalog_export.writing import write_catalog
    from milannotations.loading import load_split

    silence_libraries()
    check_target(out, overwrite)
    report = write_catalog(
        load_split(dataset, split),
        out,
        descriptions=descriptions or (),
        layers=split_names(layers) or None,
        units=units,
        images=images,
        opacity=opacity,
        base_url=base_url,
        overwrite=overwrite,
    )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}")
    console.print(
        f"{report.units} units of {report.layers} layers, {report.images} images: {report.file}"
    )
