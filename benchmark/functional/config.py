"""What ``milannotations functional`` measures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from benchmark.config import BootstrapConfig
from milannotations.command_options import Config
from milannotations.shared_options import DeviceConfig


class ProbeConfig(Config):
    """The images that neurons' networks are run on, and what looks at the images.

    Attributes:
        images: Folder of images, or worlds:SEED:SCENES for the synthetic neurons.
        clip: CLIP or SigLIP model that looks at the images of a folder.
        model: The network; default the one that --neurons records.
        weights: published, random, or a file; default as recorded.
        share: Share of images that count as showing a description.
        batch_size: Images per forward pass.
    """

    images: str
    clip: str | None = None
    model: str | None = None
    weights: str | None = None
    share: float = 0.05
    batch_size: Annotated[int, Field(ge=1)] = 32


class FunctionalConfig(BootstrapConfig, DeviceConfig):
    """Which descriptions are scored by the activations they predict.

    Attributes:
        descriptions: CSV with model, dataset, layer, unit, description; several.
        neurons: The dataset that is described, which records its network.
        out: Folder for results as JSON and Parquet.
        seed: Seed of bootstrap and shuffling.
    """

    descriptions: Annotated[tuple[Path, ...], typer.Argument()]
    probe: ProbeConfig
    neurons: str | None = None
    out: Path | None = None
