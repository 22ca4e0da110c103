"""Options that several commands of the benchmark share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from benchmark.references import HELD_OUT, PROTOCOL_HELP
from benchmark.text_encoders import (
    DEFAULT_BERTSCORE_ENCODER,
    DEFAULT_SENTENCE_ENCODER,
    ENCODER_HELP,
)
from milannotations.command_options import Config
from milannotations.shared_options import DeviceConfig


class ResamplesConfig(Config):
    """How intervals are estimated.

    Attributes:
        resamples: Bootstrap resamples.
    """

    resamples: Annotated[int, Field(ge=1000)] = 1000


class BootstrapConfig(ResamplesConfig):
    """How intervals are estimated, and the seed.

    Attributes:
        seed: Seed of everything that is drawn.
    """

    seed: Annotated[int, Field(ge=0)] = 0


class EncodersConfig(Config):
    """The encoders of metrics that embed sentences.

    Attributes:
        bertscore_encoder: Encoder of BERTScore.
        sentence_encoder: Encoder of identification and similarity.
    """

    encoder: Annotated[
        str | None, Field(description=f"One encoder for both of the following: {ENCODER_HELP}.")
    ] = None
    bertscore_encoder: str = DEFAULT_BERTSCORE_ENCODER
    sentence_encoder: str = DEFAULT_SENTENCE_ENCODER


class ProtocolConfig(Config):
    """The references that a description is scored against."""

    protocol: Annotated[str, Field(description=f"{PROTOCOL_HELP}.")] = HELD_OUT


class ScoreConfig(BootstrapConfig, DeviceConfig):
    """The descriptions, annotations and metrics of a scoring run.

    Attributes:
        references: CSV with layer, unit, summary.
        descriptions: CSV with layer, unit, description; may be repeated.
        out: Folder for results as JSON and Parquet.
        markdown: File for the table as Markdown.
        constants: Constant string to score as a control; repeatable.
        only_described: Score only the neurons that all files describe.
        metrics: Metric, the main one first, or all; repeatable; also NAME-corrected.
        stratify: Bootstrap within the layers of each model.
        sanity: Also check whether these metrics can be fooled here.
    """

    references: Path
    descriptions: tuple[Path, ...]
    out: Path | None = None
    markdown: Path | None = None
    encoders: EncodersConfig = EncodersConfig()
    constants: Annotated[tuple[str, ...], typer.Option("--constant")] = ()
    only_described: bool = False
    metrics: Annotated[tuple[str, ...], typer.Option("--metric")] = ()
    references_protocol: ProtocolConfig = ProtocolConfig()
    stratify: bool = False
    sanity: bool = True
