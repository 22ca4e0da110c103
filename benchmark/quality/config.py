"""What ``milannotations quality`` measures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from benchmark.config import BootstrapConfig
from benchmark.text_encoders import ENCODER_HELP
from milannotations.shared_options import DeviceConfig


class QualityConfig(BootstrapConfig, DeviceConfig):
    """Which annotations are looked at, and with what.

    Attributes:
        data: A config, group, folder or hub repository, or a CSV of annotations.
        split: Which split, where there are several.
        out: Folder for quality.json, quality.md and figures.
        seed: Seed of the bootstrap, and of assigning annotations to other neurons.
    """

    data: Annotated[str, typer.Argument()]
    split: str | None = None
    out: Path | None = None
    encoder: Annotated[
        str | None,
        Field(
            description="Encoder of BERTScore and identification, which are left out without one: "
            f"{ENCODER_HELP}."
        ),
    ] = None
