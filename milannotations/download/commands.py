"""``milannotations download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.catalog.releases import RELEASES, SOURCES, members
from milannotations.data_home import config_folder
from milannotations.errors import InputError
from milannotations.storage.tidying import tidy_up

app = typer.Typer(add_completion=False)


@app.command()
def download(
    name: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG_OR_GROUP", help="as alexnet-imagenet; or base, cls, gen, biggan ..."
        ),
    ],
    from_zip: Annotated[
        Path | None, typer.Option(help="the config's zip, if you have it: nothing is fetched")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="fetch again, accept another checksum, and replace what is there"
        ),
    ] = False,
    zip_only: Annotated[
        bool, typer.Option("--zip-only", help="fetch and check the zip; import nothing")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder to write; default where load() finds it")
    ] = None,
) -> None:
    """Fetch original releases and import them; run it again to go on after an interruption.

    Hosts in MILANNOTATIONS_MIRRORS are asked before the authors'.
    """
    configs = members(name)
    if len(configs) > 1:
        for option, given in (("--from-zip", from_zip), ("--out", out)):
            if given:
                raise InputError(
                    f"{option} is for one config, but {name} has {len(configs)}: "
                    f"{', '.join(configs)}"
                )
    if zip_only and out:
        raise InputError("--zip-only writes no folder; leave out either it or --out")
    for config in configs:
        target = out or config_folder(config)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; name a folder to write")
        if not zip_only and not force and _is_there(target):
            tidy_up(target)
            typer.echo(f"{config}: {target} is there already; pass --force to replace it")
            continue
        if zip_only:
            _fetch(config, from_zip, force)
        else:
            _install(config, from_zip, force, out)


def _is_there(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _fetch(config: str, from_zip: Path | None, force: bool) -> None:
    from milannotations.download.transfer import adopt, fetch

    source = adopt(config, from_zip, force=force) if from_zip else fetch(config, force=force)
    typer.echo(f"{config}: {source}")


def _install(config: str, from_zip: Path | None, force: bool, out: Path | None) -> None:
    from milannotations.download.install import install

    report = install(config, from_zip=from_zip, force=force, out=out)
    place = out or config_folder(config)
    typer.echo(f"{config}: {report.neurons} neurons in {len(report.layers)} layers: {place}")
    for difference in report.differences:
        typer.echo(f"differs from what was published: {difference}")
    needed = RELEASES[config].source
    if not report.images and needed:
        typer.echo(
            f"it has no images: they are of {SOURCES[needed].title}, and from your copy of it "
            f"`milannotations attach-images {out or config} --source FOLDER` fills them in"
        )
