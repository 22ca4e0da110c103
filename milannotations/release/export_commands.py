"""``milannotations export-release``: records in the layout that the original code reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.catalog.releases import canonical, is_known
from milannotations.data_home import config_folder
from milannotations.storage import check_file, check_target
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def export_release(
    name: Annotated[str, typer.Argument(help="config, demo, or dataset folder")],
    out: Annotated[Path, typer.Option(help="folder to write, or a file that ends in .zip")],
    split: Annotated[str | None, typer.Option(help="which, if there are several")] = None,
    images: Annotated[
        bool | None,
        typer.Option("--images/--no-images", help="write images.npy; default where there are any"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what is there")] = False,
) -> None:
    """Write a network's records as masks.npy, ids.csv, annotations.csv and so on."""
    from milannotations.loading import load_split
    from milannotations.release.exporter import export_release as export
    from milannotations.release.facts import read_facts

    if out.suffix == ".zip":
        check_file(out, overwrite)
    else:
        check_target(out, overwrite)
    folder = config_folder(canonical(name)) if is_known(name) else Path(name)
    facts = read_facts(folder)
    report = export(
        load_split(name, split),
        out,
        images=images,
        masks=facts.masks if facts else None,
        annotations=folder / "annotations.csv",
        overwrite=overwrite,
    )
    layers = ", ".join(f"{layer} ({units})" for layer, units in report.layers.items())
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"{layers}; {report.annotations} annotations; images: {'yes' if report.images else 'no'}; "
        f"written to {report.path}"
    )
    for warning in report.warnings:
        console.print(f"warning: {warning}")
