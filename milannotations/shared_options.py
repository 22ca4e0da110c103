"""Options that several commands share: types of fields, and configs to inherit from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import BeforeValidator, Field

from milannotations.command_options import Config
from milannotations.device import DEVICE_HELP
from milannotations.options import read_options, split_names

Names = Annotated[tuple[str, ...], BeforeValidator(split_names)]
"""Names or patterns, separated by commas; an option that can be repeated."""

DescriberOptions = Annotated[
    dict[str, Any],
    BeforeValidator(lambda given: given if isinstance(given, Mapping) else read_options(given)),
    typer.Option("--option", metavar="NAME=VALUE"),
]
"""Options of a describer: a mapping, or ``NAME=VALUE`` texts."""


class DeviceConfig(Config):
    """Where a network runs."""

    device: Annotated[str, Field(description=f"Where it runs: {DEVICE_HELP}.")] = "auto"


class OverwriteConfig(Config):
    """Whether results may be replaced.

    Attributes:
        overwrite: Replace what is there.
    """

    overwrite: bool = False
