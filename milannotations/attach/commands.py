"""``milannotations attach-images``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from milannotations.catalog.releases import GROUPS, RELEASES, SOURCES, SourceImages, canonical
from milannotations.data_home import config_folder
from milannotations.errors import InputError, did_you_mean
from milannotations.storage.tidying import tidy_up
from milannotations.terminal import Console

if TYPE_CHECKING:
    from milannotations.attach.sources import ImageSource

app = typer.Typer(add_completion=False)


@app.command()
def attach_images(
    dataset: Annotated[
        str,
        typer.Argument(metavar="CONFIG_OR_FOLDER", help="alexnet-imagenet, or a dataset folder"),
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="folder of the source images, with a folder per class"),
    ] = None,
    source_dataset: Annotated[
        str | None,
        typer.Option(help="instead: a dataset of them, by hub name or local folder"),
    ] = None,
    source_split: Annotated[str, typer.Option(help="split of that dataset")] = "validation",
    source_column: Annotated[
        str | None, typer.Option(help="its column of images, where it has several")
    ] = None,
    geometry: Annotated[
        str,
        typer.Option(
            help="crop: what the network and the annotators saw, in line with the masks; squash: "
            "what the original loader makes of it"
        ),
    ] = "crop",
    image_format: Annotated[str, typer.Option(help="webp, png (both lossless) or jpeg")] = "webp",
    out: Annotated[
        Path | None, typer.Option(help="folder to write, instead of replacing the dataset's own")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="replace images that are there already, and the folder --out")
    ] = False,
    allow_other_source: Annotated[
        bool, typer.Option(help="take a source whose number of images is not the published one")
    ] = False,
) -> None:
    """Fill in the images of a release that came without them, from your own copy."""
    if (source is None) == (source_dataset is None):
        raise InputError("name either --source or --source-dataset")
    folder = find_folder(dataset)
    tidy_up(folder)

    from milannotations.attach.attach import LISTING, needed_ids
    from milannotations.attach.attach import attach_images as run
    from milannotations.attach.checks import check_source
    from milannotations.attach.geometry import check_geometry
    from milannotations.attach.sources import FolderSource, HubSource

    console = Console()
    check_geometry(geometry)
    expected = expected_source(folder)
    # Before the source is opened, which for a dataset of a hub can be a long download.
    ids = needed_ids(folder, overwrite)
    images: ImageSource
    if source is not None:
        images = FolderSource(source.expanduser())
    else:
        images = HubSource(str(source_dataset), source_split, source_column)
    console.print(
        f"{images.title}: {len(images)} images, ordered by: {images.order}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    check_source(images, None if allow_other_source else expected, ids, folder / LISTING)
    report = run(
        folder,
        images,
        image_format=image_format,
        geometry=geometry,
        overwrite=overwrite,
        out=out.expanduser() if out else None,
    )
    kept = f"; {report.kept} records keep the images they had" if report.kept else ""
    console.print(
        f"{report.attached} of {report.records} records have new images, {report.images} distinct "
        f"ones ({report.geometry}, {report.image_format}){kept}: {report.folder}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def find_folder(name: str) -> Path:
    """Return the dataset folder that a config's name or a path means.

    Raises:
        InputError: If the config is not installed, or there is no such config or folder.
    """
    config = canonical(name)
    if config in RELEASES:
        folder = config_folder(config)
        if folder.is_dir():
            return folder
        near = f"; for the folder {name} here, write ./{name}" if Path(name).is_dir() else ""
        raise InputError(
            f"{config} is not installed in {folder}: run `milannotations download {config}` "
            f"first{near}"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if config in GROUPS:
        raise InputError(f"{name!r} is a group; name one of {', '.join(GROUPS[config])}")
    raise InputError(
        f"{name!r} is neither a config nor a folder{did_you_mean(config, RELEASES)} (configs: "
        f"{', '.join(RELEASES)})"
    )


def expected_source(folder: Path) -> SourceImages | None:
    """Return which images a dataset folder's records count; None if that is not known.

    Raises:
        InputError: If they are of a generator, whose images come from no data set.
    """
    from milannotations.release.facts import read_raw_facts

    release = RELEASES.get(str(read_raw_facts(folder).get("config")))
    if release is None:
        return None
    if release.source is None:
        raise InputError(
            f"{release.name} is of a generator: its images are made from latents, come with the "
            "release, and cannot be attached"
        )
    return SOURCES[release.source]
