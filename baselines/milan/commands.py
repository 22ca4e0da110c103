"""``milannotations train``, ``train-language-model``, ``import-checkpoint`` and ``push-model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from baselines.milan.command_config import (
    ImportCheckpointConfig,
    PushModelConfig,
    TrainMilanConfig,
    TrainPriorConfig,
)
from milannotations.command_options import command

if TYPE_CHECKING:
    from baselines.milan.model import Milan
    from baselines.milan.prior import Prior

app = typer.Typer(add_completion=False)
import_app = typer.Typer(add_completion=False)
language_model_app = typer.Typer(add_completion=False)
push_app = typer.Typer(add_completion=False)


@command(app, TrainMilanConfig, "baselines.milan.running:train_milan")
def train(config: TrainMilanConfig, model: Milan) -> None:
    """Train a MILAN on annotated neurons; run it again to go on after an interruption."""


@command(language_model_app, TrainPriorConfig, "baselines.milan.running:train_language_model")
def train_language_model(config: TrainPriorConfig, prior: Prior) -> None:
    """Train a language model on annotations alone, for `train --prior`."""


@command(import_app, ImportCheckpointConfig, "baselines.milan.running:convert_checkpoint")
def import_checkpoint(config: ImportCheckpointConfig, model: Milan) -> None:
    """Turn a checkpoint of the original MILAN into a model of this project."""


@command(push_app, PushModelConfig, "baselines.milan.running:push_model")
def push_model(config: PushModelConfig, url: str) -> None:
    """Upload a model to the hub, with its card."""
    typer.echo(url)
