"""``milannotations leaderboard push``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.errors import InputError
from milannotations.options import assignments


def push(
    results: Annotated[
        Path | None, typer.Option(help="folder of results; default the board's")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="demo, milannotations, or a folder with board.yaml")
    ] = None,
    repo: Annotated[
        str, typer.Option(metavar="USER/NAME", help="dataset repository for the results")
    ] = "",
    site: Annotated[Path | None, typer.Option(help="folder of the rendered site")] = None,
    space: Annotated[str, typer.Option(metavar="USER/NAME", help="static Space for the site")] = "",
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD=USER/NAME",
            help="model repository in which a method's scores are proposed; repeatable",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--public", help="whether new repositories are private")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would be written; upload nothing")
    ] = False,
) -> None:
    """Upload a board to a hub: results to a dataset, the site to a Space, scores to models."""
    from leaderboard.definition import read_board
    from leaderboard.hub.push import push as run

    if results is None and board is None:
        raise InputError("pass --results FOLDER, --board NAME, or both")
    definition = read_board(board) if board is not None else None
    folder = results or (definition.results if definition is not None else Path())
    done = run(
        folder,
        definition=definition,
        repo_id=repo,
        site=site,
        space=space,
        models=assignments("--model", model or []),
        private=private,
        dry_run=dry_run,
    )
    for pushed in done:
        if dry_run:
            for path, size in pushed.files:
                typer.echo(f"{size:>14,}  {path}")
        for path in pushed.deleted:
            typer.echo(f"{'deleted':>14}  {path}")
        for note in pushed.notes:
            typer.echo(f"note: {note}", err=True)
        total = sum(size for _, size in pushed.files) / 1e6
        what = f"{pushed.kind} {pushed.repo_id}: {len(pushed.files)} files, {total:.1f} MB"
        typer.echo(f"{what}: {pushed.url}" if pushed.url else f"dry run: {what} would be written")
