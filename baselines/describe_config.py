"""What ``milannotations describe`` describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from milannotations.shared_options import DescriberOptions, DeviceConfig


class DescribeConfig(DeviceConfig):
    """Which neurons are described, and by what.

    Attributes:
        method: Name of a describer, such as retrieval or constant.
        out: CSV to write: a row per neuron; must be given.
        neurons: demo, a config, or a dataset folder.
        split: Split to describe; default test for demo, else the only one.
        train: demo, or a dataset folder, to learn from.
        train_split: Split to learn from.
        option: NAME=VALUE for the describer; repeatable; --help-options lists them.
        alternatives: Add a column with other candidates, as JSON.
        overwrite: Replace the file of --out.
        help_options: List the options of --method, and do nothing else.
    """

    method: str
    out: Path | None = None
    neurons: str = "demo"
    split: str | None = None
    train: str = "demo"
    train_split: str | None = "train"
    option: DescriberOptions = Field(default_factory=dict)
    alternatives: Annotated[bool, typer.Option("--alternatives")] = False
    overwrite: bool = False
    help_options: Annotated[bool, typer.Option("--help-options")] = False
