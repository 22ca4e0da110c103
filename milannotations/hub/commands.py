"""``milannotations push``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from milannotations.errors import InputError

app = typer.Typer(add_completion=False)


@app.command()
def push(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG...", help="installed configs, groups of them, or dataset folders"
        ),
    ],
    repo: Annotated[
        str,
        typer.Option(
            metavar="USER/NAME", help="dataset repository on the hub; created if there is none"
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the files and the card; upload nothing")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private/--public", help="whether a new repository is private")
    ] = True,
    without_images: Annotated[
        bool, typer.Option("--without-images", help="leave the exemplars' images out")
    ] = False,
    may_redistribute: Annotated[
        bool,
        typer.Option(
            "--i-may-redistribute-images",
            help="upload images of ImageNet too: you have the right to",
        ),
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="branch to write, created if there is none; default main")
    ] = None,
) -> None:
    """Upload configs to a dataset repository of a hub, with a card; its README.md is replaced."""
    from milannotations.hub.push import push as run

    if without_images and may_redistribute:
        raise InputError("pass either --without-images or --i-may-redistribute-images")
    include: bool | Literal["auto"] = "auto"
    if without_images or may_redistribute:
        include = may_redistribute
    report = run(
        configs, repo, private=private, dry_run=dry_run, revision=revision, include_images=include
    )
    if dry_run:
        typer.echo(report.card)
    for path, size in report.files:
        typer.echo(f"{size:>14,}  {path}")
    for path in report.deleted:
        typer.echo(f"{'deleted':>14}  {path}")
    if report.kept:
        typer.echo(f"kept as they are: {', '.join(report.kept)}")
    for note in report.notes:
        typer.echo(f"note: {note}", err=True)
    total = sum(size for _, size in report.files) / 1e6
    typer.echo(
        f"dry run: {len(report.files)} files, {total:.1f} MB, would be uploaded to {repo}"
        if dry_run
        else f"{len(report.files)} files, {total:.1f} MB: {report.url}"
    )
