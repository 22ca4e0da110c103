"""``milannotations describe``."""

from __future__ import annotations

import typer

from baselines.describe_config import DescribeConfig
from milannotations.command_options import command

app = typer.Typer(add_completion=False)


@command(app, DescribeConfig, "baselines.describing:run_describe")
def describe(config: DescribeConfig, result: None) -> None:
    """Describe neurons and write a file that ``milannotations score`` reads."""
