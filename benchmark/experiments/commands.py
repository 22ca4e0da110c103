"""The paper's tables of ``milannotations experiment``, on the release or at small scale."""

from __future__ import annotations

import typer

from benchmark.experiments.config import BaselinesTableConfig, GeneralizationConfig
from milannotations.command_options import command


def add_paper_tables(app: typer.Typer) -> None:
    """Add the commands that make the paper's tables."""

    @command(app, GeneralizationConfig, "benchmark.experiments.paper_tables:generalization")
    def generalization(config: GeneralizationConfig, result: None) -> None:
        """Train on some networks, describe others: the paper's table 3."""

    @command(app, BaselinesTableConfig, "benchmark.experiments.paper_tables:baselines")
    def baselines(config: BaselinesTableConfig, result: None) -> None:
        """Train on all networks but one, describe it, beside the baselines: the paper's table 2."""
