"""Filling in the images of the dataset that a config names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from milannotations.attach.attach import LISTING, attach_images, needed_ids
from milannotations.attach.checks import check_source
from milannotations.attach.config import AttachConfig
from milannotations.attach.geometry import check_geometry
from milannotations.attach.sources import FolderSource, HubSource, ImageSource
from milannotations.catalog.releases import GROUPS, RELEASES, SOURCES, SourceImages, canonical
from milannotations.data_home import config_folder
from milannotations.errors import InputError, did_you_mean
from milannotations.release.facts import read_raw_facts
from milannotations.storage.tidying import tidy_up


def run_attach_images(config: AttachConfig) -> Iterator[str]:
    """Fill in images, and yield lines of text on the source and on the result.

    Raises:
        InputError: If the dataset or the source cannot be used; see ``check_source`` and
            ``attach_images``.
    """
    if (config.source is None) == (config.source_dataset is None):
        raise InputError("name either --source or --source-dataset")
    folder = find_folder(config.dataset)
    tidy_up(folder)
    check_geometry(config.geometry)
    expected = expected_source(folder)
    # Before the source is opened, which can be a long download if it is a dataset of a hub.
    ids = needed_ids(folder, config.overwrite)
    source = _source(config)
    yield f"{source.title}: {len(source)} images, ordered by: {source.order}"
    check_source(source, None if config.allow_other_source else expected, ids, folder / LISTING)
    report = attach_images(
        folder,
        source,
        image_format=config.image_format,
        geometry=config.geometry,
        overwrite=config.overwrite,
        out=config.out.expanduser() if config.out else None,
    )
    unchanged = f"; {report.unchanged} records keep the images they had" if report.unchanged else ""
    yield (
        f"{report.attached} of {report.records} records have new images, {report.images} distinct "
        f"ones ({report.geometry}, {report.image_format}){unchanged}: {report.folder}"
    )


def _source(config: AttachConfig) -> ImageSource:
    if config.source is not None:
        return FolderSource(config.source.expanduser())
    return HubSource(str(config.source_dataset), config.source_split, config.source_column)


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
    release = RELEASES.get(str(read_raw_facts(folder).get("config")))
    if release is None:
        return None
    if release.source is None:
        raise InputError(
            f"{release.name} is of a generator: its images are made from latents, come with the "
            "release, and cannot be attached"
        )
    return SOURCES[release.source]
