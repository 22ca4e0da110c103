"""``milannotations dissect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from baselines.concepts import CONCEPTS_HELP
from milannotations.device import DEVICE_HELP
from milannotations.exemplars.inputs import Channels, InputSize, Mean, Resize, Std

app = typer.Typer(add_completion=False)


@app.command()
def dissect(
    concepts: Annotated[str, typer.Option(help=CONCEPTS_HELP)],
    out: Annotated[Path, typer.Option(help="folder to write: tables, figures, a page")],
    model: Annotated[
        str | None, typer.Option(help="the network, as for build; also: synthetic")
    ] = None,
    neurons: Annotated[
        str | None,
        typer.Option(help="a data set that build wrote: its own network, and its layers"),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option(
            help="layers, comma-separated, with wildcards; repeatable; default the model's own"
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="netdissect or compexp")] = "netdissect",
    weights: Annotated[
        str | None,
        typer.Option(help="published (the default), random, or a file; of --neurons as recorded"),
    ] = None,
    input_size: InputSize = None,
    resize: Resize = None,
    channels: Channels = None,
    mean: Mean = None,
    std: Std = None,
    activations: Annotated[
        Path | None, typer.Option(help="folder of recorded activation maps, in place of a network")
    ] = None,
    frame: Annotated[
        str, typer.Option(help="pictures that are no squares: squash, or crop to their middle")
    ] = "squash",
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE for the method; repeatable; `milannotations describe --method "
            "netdissect --help-options` lists them"
        ),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="folder that keeps what took long; default in the cache")
    ] = None,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    batch_size: Annotated[int, typer.Option(help="images per forward pass")] = 32,
    readers: Annotated[int, typer.Option(help="processes that read images")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace the folder of --out")] = False,
) -> None:
    """Find which labels of segmented images each unit of a network's layers goes with."""
    from baselines.concepts.dissector import Dissector
    from milannotations.describer import create
    from milannotations.errors import InputError
    from milannotations.exemplars.inputs import InputOptions
    from milannotations.loading import load_split
    from milannotations.options import read_options, split_names
    from milannotations.progress import silence_libraries
    from milannotations.storage import atomic_folder, check_target
    from milannotations.terminal import Console

    silence_libraries()
    check_target(out, overwrite)
    if not model and not activations and not neurons:
        raise InputError(
            "name a network with --model or --neurons, or recorded maps with --activations"
        )
    inputs = InputOptions.parse(input_size, resize, channels, mean, std)
    if inputs != InputOptions() and not model:
        raise InputError("--input-size and the like go with --model; others say it themselves")
    own = {
        "concepts": concepts, "model": model,
        "activations": str(activations) if activations else None, "weights": weights,
        "frame": frame, "work": str(work) if work else None, "device": device,
        "batch_size": batch_size, "readers": readers,
    }  # fmt: skip
    given = read_options(option or [])
    for name in own.keys() & given.keys():
        raise InputError(f"--option {name}: write it as --{name.replace('_', '-')}")
    describer = create(method, **own, **given)
    if not isinstance(describer, Dissector):
        raise InputError(f"method {method!r} does not dissect; take netdissect or compexp")
    names = split_names(layers)
    if neurons is not None:
        tallies = describer.tallies_of_neurons(load_split(neurons), names)
    else:
        tallies = describer.tallies(model or "", names, inputs)
    with atomic_folder(out, overwrite) as folder:
        lines = describer.report(tallies, folder)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
    console.print(f"Report: {out.resolve() / 'index.html'}")
