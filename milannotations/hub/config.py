"""What ``milannotations push`` uploads."""

from __future__ import annotations

from typing import Annotated

import typer

from milannotations.command_options import Config


class PushConfig(Config):
    """The datasets to upload, and the repository that they go to.

    Attributes:
        configs: Installed configs, groups of them, or dataset folders.
        repo: Dataset repository on the hub; created if there is none.
        dry_run: Show the files and the card; upload nothing.
        private: Whether a new repository is private.
        without_images: Leave the exemplars' images out.
        may_redistribute: Upload images of ImageNet too: you have the right to.
        revision: Branch to write, created if there is none; default main.
    """

    configs: Annotated[tuple[str, ...], typer.Argument(metavar="CONFIG...")]
    repo: Annotated[str, typer.Option(metavar="USER/NAME")]
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False
    private: Annotated[bool, typer.Option("--private/--public")] = True
    without_images: Annotated[bool, typer.Option("--without-images")] = False
    may_redistribute: Annotated[bool, typer.Option("--i-may-redistribute-images")] = False
    revision: str | None = None
