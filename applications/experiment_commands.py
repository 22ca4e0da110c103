"""``milannotations experiment``: the tables of the paper, and its applications."""

from __future__ import annotations

import typer

from applications.commands import analyze, audit, edit
from applications.data_commands import spurious_color, spurious_text, train_classifier, trials
from benchmark.experiments.commands import baselines, generalization

app = typer.Typer(no_args_is_help=True, help="Run the experiments of the paper.")
app.command()(analyze)
app.command()(audit)
app.command()(edit)
app.command("spurious-text")(spurious_text)
app.command("spurious-color")(spurious_color)
app.command("train-classifier")(train_classifier)
app.command()(trials)
app.command()(generalization)
app.command()(baselines)
