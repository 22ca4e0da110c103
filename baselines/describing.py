"""Describes neurons, and writes a file that ``milannotations score`` reads."""

from __future__ import annotations

import json

import pandas as pd
import typer

from baselines.describe_config import DescribeConfig
from milannotations.describer import accepts, create, list_options
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.provenance import warn_of_other_kind
from milannotations.record import NeuronKey, keys_of
from milannotations.storage import atomic_path, reserved_file
from milannotations.terminal import Console


def run_describe(config: DescribeConfig) -> None:
    """Describe neurons and print how many, or list the options of a describer."""
    if config.help_options:
        typer.echo("\n".join(list_options(config.method)))
        return
    table = describe(config)
    Console().print(f"{len(table)} descriptions: {config.out}", markup=False, highlight=False)


def describe(config: DescribeConfig) -> pd.DataFrame:
    """Describe neurons and write the descriptions to the CSV ``config.out``.

    Returns:
        The table that was written: a row per neuron.

    Raises:
        InputError: If there is no file to write, no such describer, option or neurons, or the
            describer is made of references.
    """
    if config.out is None:
        raise InputError("name the CSV to write with --out")
    method, options = config.method, dict(config.option)
    with reserved_file(config.out, config.overwrite):
        resolve_device(config.device)
        if accepts(method, "device"):
            options.setdefault("device", config.device)
        default = "test" if config.neurons == "demo" else None
        described = load_split(config.neurons, config.split or default)
        learned = load_split(config.train, config.train_split)
        describer = create(method, **options)
        if describer.sees_references:
            raise InputError(f"{method!r} is made of references; it can only be scored")
        describer.fit(learned)
        warn_of_other_kind(describer, described, method)
        descriptions = describer.describe(described)
        table = pd.DataFrame(keys_of(described), columns=list(NeuronKey._fields))
        table["description"] = [description.text for description in descriptions]
        table["score"] = [description.score for description in descriptions]
        if config.alternatives:
            table["alternatives"] = [
                json.dumps(d.alternatives, ensure_ascii=False) for d in descriptions
            ]
        with atomic_path(config.out) as path:
            table.to_csv(path, index=False)
    return table
