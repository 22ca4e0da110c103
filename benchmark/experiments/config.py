"""The options of ``milannotations experiment generalization`` and ``baselines``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from benchmark.config import ProtocolConfig, ResamplesConfig
from benchmark.text_encoders import ENCODER_HELP
from milannotations.shared_options import DeviceConfig


class ExperimentConfig(ProtocolConfig, ResamplesConfig, DeviceConfig):
    """The methods and metrics of an experiment, and the number of trials.

    Attributes:
        out: Folder for tables, figures and finished cells.
        data: release, or worlds[:UNITS:SCENES]: small synthetic networks.
        methods: Describer, or NAME=describer, with options: milan:epochs=20,pmi=0.5.
        trials: Repetitions with another seed.
        metrics: Metric; repeatable.
    """

    out: Path
    data: str = "release"
    methods: Annotated[tuple[str, ...], typer.Option("--method")] = ()
    trials: Annotated[int, Field(ge=1)] = 1
    metrics: Annotated[tuple[str, ...], typer.Option("--metric")] = ()
    encoder: Annotated[
        str | None, Field(description=f"One encoder for all metrics: {ENCODER_HELP}.")
    ] = None


class GeneralizationConfig(ExperimentConfig):
    """The families of splits for the paper's table 3.

    Attributes:
        family: Family of splits; default those of the paper.
    """

    out: Path = Path("generalization")
    family: tuple[str, ...] = ()


class BaselinesTableConfig(ExperimentConfig):
    """The baselines for the paper's table 2.

    Attributes:
        concepts: Labelled images for the two dissection baselines, as --concepts of
            `milannotations dissect`; without, they are left out.
    """

    out: Path = Path("baselines-table")
    concepts: str | None = None
