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
    from applications.audit.network_audit import Audit
    from applications.classifier import TrainedClassifier
    from applications.editing.edit_report import Edit

app = typer.Typer(no_args_is_help=True, help="Run the experiments of the paper.")


_WRITE_SPURIOUS = "applications.spurious_data.dataset:write_spurious_images"


def _console() -> Console:
    return Console(markup=False, highlight=False)


@command(app, AnalyzeConfig, "applications.analysis.experiment:analyze")
def analyze(config: AnalyzeConfig, analysis: Analysis) -> None:
    """Report what units are described as, layer by layer, and which properties matter."""
    console = _console()
    for curve in analysis.significant_curves:
        console.print(
            f"{curve.name} ({curve.order}, {curve.direction} first): "
            f"{100 * curve.difference:+.1f} points against random orders, p = {curve.adjusted:.3g}"
        )
    console.print(f"{len(analysis.described.units)} units: {config.out / 'report.html'}")


@command(app, AuditConfig, "applications.audit.experiment:audit_networks")
def audit(config: AuditConfig, result: Audit) -> None:
    """Report which units are described with some words, and how networks differ in them."""
    console = _console()
    for problem in dict.fromkeys(result.missing_controls.values()):
        console.print(f"No control with random weights: {problem}")
    for network in result.networks:
        console.print(network.summary)
    console.print(f"Report: {config.out / 'report.html'}")


@command(app, EditNetworkConfig, "applications.editing.experiment:edit_and_report")
def edit(config: EditNetworkConfig, result: Edit) -> None:
    """Ablate the units that are described with some words, and report what this does."""
    console = _console()
    if not result.matches:
        console.print(f"Nothing to ablate: {result.search.no_match(result.described.texts)}.")
    console.print(f"{result.choice.count} of {len(result.matches)} matching units ablated")
    for name in result.tests:
        outcome = result.outcome(name)
        console.print(
            f"{name}: {100 * outcome.before.value:.1f} % to {100 * outcome.after.value:.1f} % "
            f"({100 * outcome.gain.low:+.1f} to {100 * outcome.gain.high:+.1f} points)"
        )
    console.print(f"Report: {config.out / 'report.html'}")


@command(app, SpuriousTextConfig, _WRITE_SPURIOUS, "spurious-text")
def spurious_text(config: SpuriousTextConfig, folder: Path) -> None:
    """Write images whose training part shows class names, with adversarial tests."""
    _console().print(f"Images with spurious text: {folder}")


@command(app, SpuriousColorConfig, _WRITE_SPURIOUS, "spurious-color")
def spurious_color(config: SpuriousColorConfig, folder: Path) -> None:
    """Write images whose training part has a colour per class, with adversarial tests."""
    _console().print(f"Images with spurious colours: {folder}")


@command(app, ClassifierConfig, "applications.classifier:train_classifier", "train-classifier")
def train_classifier(config: ClassifierConfig, trained: TrainedClassifier) -> None:
    """Train a classifier from random weights, to have one whose training images are known."""
    accuracy = f"{100 * trained.train_accuracy:.1f} % of the training images right"
    _console().print(f"{config.architecture}: {accuracy}: {config.out}")


@command(app, TrialsConfig, "applications.trials.trial_runs:run_and_summarize")
def trials(config: TrialsConfig, summary: list[str]) -> None:
    """Try an application on rendered images, training included; minutes per seed on a CPU."""
    console = _console()
    for line in summary:
        console.print(line)
    console.print(f"Summary: {config.out / config.file_name}.md")


add_paper_tables(app)
