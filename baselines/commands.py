"""``milannotations describe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP

app = typer.Typer(add_completion=False)


@app.command()
def describe(
    method: Annotated[str, typer.Option(help="name of a describer, as retrieval or constant")],
    out: Annotated[
        Path | None, typer.Option(help="CSV to write: a row per neuron; must be given")
    ] = None,
    neurons: Annotated[str, typer.Option(help="demo, a config, or a dataset folder")] = "demo",
    split: Annotated[
        str | None, typer.Option(help="split to describe; default test for demo, else the only one")
    ] = None,
    train: Annotated[str, typer.Option(help="demo, or a dataset folder, to learn from")] = "demo",
    train_split: Annotated[str | None, typer.Option(help="split to learn from")] = "train",
    option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE for the describer; repeatable; --help-options lists them"),
    ] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="add a column with other candidates, as JSON")
    ] = False,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    overwrite: Annotated[bool, typer.Option(help="replace the file of --out")] = False,
    help_options: Annotated[
        bool,
        typer.Option("--help-options", help="list the options of --method, and do nothing else"),
    ] = False,
) -> None:
    """Describe neurons and write a file that ``milannotations score`` reads."""
    import json

    import pandas as pd

    from milannotations.describer import accepts, create, list_options
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.loading import load_split
    from milannotations.options import read_options
    from milannotations.progress import silence_libraries
    from milannotations.provenance import warn_of_other_kind
    from milannotations.record import NeuronKey, keys_of
    from milannotations.storage import atomic_path, reserved_file
    from milannotations.terminal import Console

    silence_libraries()
    if help_options:
        typer.echo("\n".join(list_options(method)))
        return
    options = read_options(option or [])
    if out is None:
        raise InputError("name the CSV to write with --out")
    with reserved_file(out, overwrite):
        resolve_device(device)
        if accepts(method, "device"):
            options.setdefault("device", device)
        default = "test" if neurons == "demo" else None
        described, learned = load_split(neurons, split or default), load_split(train, train_split)
        describer = create(method, **options)
        if describer.sees_references:
            raise InputError(f"{method!r} is made of references; it only has a meaning when scored")
        describer.fit(learned)
        warn_of_other_kind(describer, described, method)
        descriptions = describer.describe(described)
        table = pd.DataFrame(keys_of(described), columns=list(NeuronKey._fields))
        table["description"] = [description.text for description in descriptions]
        table["score"] = [description.score for description in descriptions]
        if alternatives:
            table["alternatives"] = [
                json.dumps(d.alternatives, ensure_ascii=False) for d in descriptions
            ]
        with atomic_path(out) as path:
            table.to_csv(path, index=False)
    Console().print(f"{len(table)} descriptions: {out}", markup=False, highlight=False)
