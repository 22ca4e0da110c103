"""``milannotations experiment``: the tables of the paper, and its applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from applications.config import (
    AnalyzeConfig,
    AuditConfig,
    ClassifierConfig,
    EditNetworkConfig,
    TrialsConfig,
)
from applications.spurious_data.config import SpuriousColorConfig, SpuriousTextConfig
from benchmark.experiments.commands import add_paper_tables
from milannotations.command_options import command
from milannotations.terminal import Console

if TYPE_CHECKING:
    from pathlib import Path

    from applications.analysis.analysis_report import Analysis
    from applications.audit.pipeline import Audit
    from applications.classifier import TrainedClassifier
    from applications.editing.edit_report import Edit

app = typer.Typer(no_args_is_help=True, help="Run the experiments of the paper.")


@command(app, AnalyzeConfig, "applications.analysis.experiment:analyze")
def analyze(config: AnalyzeConfig, result: Analysis) -> None:
    """Report what units are described as, layer by layer, and which properties matter."""


@command(app, AuditConfig, "applications.audit.experiment:audit_networks")
def audit(config: AuditConfig, result: Audit) -> None:
    """Report which units are described with some words, and how networks differ in them."""


@command(app, EditNetworkConfig, "applications.editing.experiment:edit_network")
def edit(config: EditNetworkConfig, result: Edit) -> None:
    """Take units that are described with some words out of a network, and report what it does."""


@command(
    app,
    SpuriousTextConfig,
    "applications.spurious_data.text_cue:write_spurious_text",
    "spurious-text",
)
def spurious_text(config: SpuriousTextConfig, folder: Path) -> None:
    """Write images whose training part shows class names, and whose adversarial tests lie."""
    Console().print(f"Images with spurious text: {folder}", markup=False, highlight=False)


@command(
    app,
    SpuriousColorConfig,
    "applications.spurious_data.color_cue:write_spurious_color",
    "spurious-color",
)
def spurious_color(config: SpuriousColorConfig, folder: Path) -> None:
    """Write images whose training part has a colour per class, and whose adversarial tests lie."""
    Console().print(f"Images with spurious colours: {folder}", markup=False, highlight=False)


@command(app, ClassifierConfig, "applications.classifier:train_classifier", "train-classifier")
def train_classifier(config: ClassifierConfig, trained: TrainedClassifier) -> None:
    """Train a classifier from random weights, to have one whose images are known."""
    share = 100 * trained.train_accuracy
    Console().print(
        f"{config.architecture}: {share:.1f} % of the training images right: {config.out}",
        markup=False,
        highlight=False,
    )


@command(app, TrialsConfig, "applications.trials.experiment:run")
def trials(config: TrialsConfig, result: None) -> None:
    """Try an application on rendered images, from training on; minutes per seed on a CPU."""


add_paper_tables(app)
