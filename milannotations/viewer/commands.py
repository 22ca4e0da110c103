"""``milannotations view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def view(
    dataset: Annotated[
        str,
        typer.Argument(
            help="demo, a config or group, a dataset folder, a Parquet file, or a repository on "
            "the hub"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder to write")],
    split: Annotated[str | None, typer.Option(help="one split; default all of them")] = None,
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
        str | None, typer.Option(help="numbers and ranges, as '0:100' or '0-99,512'; default all")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="heading of the page; default the network's name")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace the output folder")] = False,
) -> None:
    """Write pages to look at: the exemplars, activations and words of every unit."""
    # Imported here: they bring in pyarrow and pandas, which `--help` must not wait for.
    from milannotations.options import split_names
    from milannotations.progress import silence_libraries
    from milannotations.terminal import Console
    from milannotations.viewer.pages import write_pages

    silence_libraries()
    patterns = split_names(layers)
    report = write_pages(
        dataset,
        out,
        split=split,
        descriptions=descriptions or (),
        layers=patterns or None,
        units=units,
        title=title,
        overwrite=overwrite,
    )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"note: {note}")
    console.print(f"{report.units} units of {report.layers} layers: open {report.page}")
