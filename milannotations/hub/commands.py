"""``milannotations push``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from milannotations.command_options import command
from milannotations.hub.config import PushConfig

if TYPE_CHECKING:
    from milannotations.hub.push import PushReport

app = typer.Typer(add_completion=False)


@command(app, PushConfig, "milannotations.hub.running:run_push")
def push(config: PushConfig, report: PushReport) -> None:
    """Upload configs to a dataset repository of a hub, with a card; its README.md is replaced."""
    if report.dry_run:
        typer.echo(report.card)
    for path, size in report.files:
        typer.echo(f"{size:>14,}  {path}")
    for path in report.deleted:
        typer.echo(f"{'deleted':>14}  {path}")
    if report.unchanged:
        typer.echo(f"kept as they are: {', '.join(report.unchanged)}")
    for note in report.notes:
        typer.echo(f"note: {note}", err=True)
    total = sum(size for _, size in report.files) / 1e6
    typer.echo(
        f"dry run: {len(report.files)} files, {total:.1f} MB, would be uploaded to {config.repo}"
        if report.dry_run
        else f"{len(report.files)} files, {total:.1f} MB: {report.url}"
    )
