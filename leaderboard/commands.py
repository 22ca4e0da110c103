"""``milannotations leaderboard``: its subcommands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from leaderboard.config import (
    CompareConfig,
    InitConfig,
    PushBoardConfig,
    RenderConfig,
    ReviewConfig,
    RowsConfig,
    ScoreSubmissionsConfig,
    ValidateConfig,
    VerifyConfig,
)
from milannotations.command_options import command

if TYPE_CHECKING:
    from pathlib import Path

    from leaderboard.hub.push import Pushed

app = typer.Typer(no_args_is_help=True, help="Submit, score, verify, compare and show.")


@command(app, InitConfig, "leaderboard.submission.running:init")
def init(config: InitConfig, result: None) -> None:
    """Write an empty submission: every field, and every neuron with a blank description."""


@command(app, ValidateConfig, "leaderboard.submission.running:validate")
def validate(config: ValidateConfig, result: None) -> None:
    """Check a submission and list everything wrong with it, by line; status 1 if anything is."""


@command(app, ScoreSubmissionsConfig, "leaderboard.submission.running:score")
def score(config: ScoreSubmissionsConfig, result: None) -> None:
    """Score submissions: write each result as JSON, and the scores of its neurons as Parquet."""


@command(app, VerifyConfig, "leaderboard.submission.running:verify")
def verify(config: VerifyConfig, result: None) -> None:
    """Compute a row again from its submission; status 1 on any difference."""


@command(app, CompareConfig, "leaderboard.submission.running:compare")
def compare(config: CompareConfig, result: None) -> None:
    """Compare two rows: the paired test, and the neurons on which they differ most."""


@command(app, ReviewConfig, "leaderboard.submission.running:review")
def review(config: ReviewConfig, result: None) -> None:
    """Check and score the submissions that a change adds; status 1 if any is invalid."""


@command(app, PushBoardConfig, "leaderboard.running:push_board")
def push(config: PushBoardConfig, repositories: list[Pushed]) -> None:
    """Upload a board to a hub: results to a dataset, the site to a Space, scores to models."""
    for pushed in repositories:
        if config.dry_run:
            for path, size in pushed.files:
                typer.echo(f"{size:>14,}  {path}")
        for path in pushed.deleted:
            typer.echo(f"{'deleted':>14}  {path}")
        for note in pushed.notes:
            typer.echo(f"note: {note}", err=True)
        total = sum(size for _, size in pushed.files) / 1e6
        what = f"{pushed.kind} {pushed.repo_id}: {len(pushed.files)} files, {total:.1f} MB"
        typer.echo(f"{what}: {pushed.url}" if pushed.url else f"dry run: {what} would be written")


@command(app, RowsConfig, "leaderboard.running:make_rows")
def rows(config: RowsConfig, result: None) -> None:
    """Make this project's own rows: describe with every baseline and control, then score."""


@command(app, RenderConfig, "leaderboard.running:render_board")
def render(config: RenderConfig, page: Path) -> None:
    """Write the leaderboard as a static site: pages that work from a web server or a disk."""
    size = sum(path.stat().st_size for path in config.out.rglob("*") if path.is_file())
    typer.echo(f"wrote {page} ({size / 1e6:.1f} MB in all)")
