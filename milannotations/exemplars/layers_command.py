"""``milannotations layers``."""

from __future__ import annotations

from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP
from milannotations.exemplars.inputs import Channels, InputSize, Mean, Resize, Std

app = typer.Typer(add_completion=False)


@app.command()
def layers(
    model: Annotated[
        str, typer.Argument(help="a model, as --model of `milannotations build` names it")
    ],
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--layers", help="names or patterns, as 'blocks.0.*'; repeatable; default all"
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="published, random, or a .safetensors, .pt or .pth file; layers are the same with "
            "random ones, which need no download"
        ),
    ] = "random",
    input_size: InputSize = None,
    resize: Resize = None,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """List the layers of a network that can be named, with their units and maps."""
    from milannotations.catalog.models import load_model
    from milannotations.device import resolve_device
    from milannotations.exemplars.inputs import InputOptions
    from milannotations.exemplars.listing import list_layers, table
    from milannotations.options import split_names
    from milannotations.progress import silence_libraries

    silence_libraries()
    processor = resolve_device(device)
    inputs = InputOptions.parse(input_size, resize, channels, mean, std)
    loaded = load_model(model, weights, inputs=inputs)
    rows = list_layers(loaded, split_names(patterns) or ["*"], device=processor)
    for line in table(rows):
        typer.echo(line)
    usable = [row.tap for row in rows if row.tap]
    units = sum(tap.units for tap in usable)
    typer.echo(f"{len(usable)} of {len(rows)} layers can be used, with {units:,} units")
    if loaded.layers:
        typer.echo(f"dissected if none is named: {', '.join(loaded.layers)}")
