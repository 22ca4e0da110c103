"""``milannotations import-release``: the original release, or annotations alone, into records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.data_home import config_folder, make_folder
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def import_release(
    source: Annotated[
        Path, typer.Argument(help="zip or folder of a release, or an annotations.csv alone")
    ],
    config: Annotated[
        str | None,
        typer.Option(help="as alexnet-imagenet; default the file's name, where it is a known one"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="architecture, if it is no known config")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="data the model was trained on")] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder to write; default where load() finds it")
    ] = None,
    image_format: Annotated[
        str, typer.Option(help="lossless webp or png, or jpeg, which is smaller but not exact")
    ] = "webp",
    drop_unknown: Annotated[
        bool, typer.Option(help="leave out annotations of units that do not exist")
    ] = False,
    overwrite: Annotated[bool, typer.Option(help="replace what is there")] = False,
) -> None:
    """Convert a release into Parquet shards; run it again to go on after an interruption."""
    from milannotations.release.importer import import_release as convert
    from milannotations.release.importer import names

    console = Console()
    name = names(source, config, model, dataset)[2]
    target = out or config_folder(name)
    make_folder(target.parent)
    report = convert(
        source,
        target,
        config=config,
        model=model,
        dataset=dataset,
        image_format=image_format,
        overwrite=overwrite,
        drop_unknown=drop_unknown,
        record=out is None,
    )
    lines = [
        f"{report.config}: {report.neurons} neurons, layers {', '.join(report.layers)}; "
        f"{report.annotated} of them with {report.annotations} annotations; "
        f"images: {'yes' if report.images else 'no'}; fingerprint {report.fingerprint}",
        *(f"differs from what was published: {one}" for one in report.differences),
    ]
    if report.ignored:
        lines.append(f"not read: {', '.join(report.ignored[:5])} ({len(report.ignored)} in all)")
    if report.dropped:
        lines.append(f"left out annotations of: {', '.join(report.dropped[:5])}")
    lines.append(f"written to {target}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
