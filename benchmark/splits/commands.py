"""``milannotations splits``: list them, and look for leaks."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from benchmark.splits.config import CategoriesConfig, LeakageConfig, SplitListConfig
from milannotations.command_options import command

app = typer.Typer(no_args_is_help=True, help="The splits of the paper, and what they leak.")


@command(app, SplitListConfig, "benchmark.splits.listing:print_splits", "list")
def list_splits(config: SplitListConfig, result: None) -> None:
    """List the published splits with their numbers of neurons."""


@command(app, LeakageConfig, "benchmark.splits.listing:leakage_of")
def check(config: LeakageConfig, leaks: Iterator[tuple[str, list[str]]]) -> None:
    """Say what each split's test neurons share with its training neurons."""
    for name, lines in leaks:
        typer.echo(f"{name}: " + "; ".join(lines))


@command(app, CategoriesConfig, "benchmark.splits.listing:count_categories")
def categories(config: CategoriesConfig, counts: dict[str, int]) -> None:
    """Count the annotated neurons of each concept category."""
    for name, count in counts.items():
        typer.echo(f"{name}: {count:,}")
