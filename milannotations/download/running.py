"""Fetching and importing the releases that a config names, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from milannotations.catalog.releases import RELEASES, SOURCES, members
from milannotations.data_home import config_folder
from milannotations.download.config import DownloadConfig
from milannotations.download.install import install
from milannotations.download.transfer import adopt, fetch
from milannotations.errors import InputError
from milannotations.storage.tidying import tidy_up


def run_download(config: DownloadConfig) -> Iterator[str]:
    """Fetch and import releases, and yield lines of text about each as soon as it is done.

    Raises:
        InputError: If options contradict each other, or a release cannot be fetched or imported.
    """
    names = members(config.name)
    _check(config, names)
    for name in names:
        target = config.out or config_folder(name)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file; name a folder to write")
        if config.zip_only:
            yield f"{name}: {_zip_of(name, config)}"
        elif not config.force and target.is_dir() and any(target.iterdir()):
            tidy_up(target)
            yield f"{name}: {target} is there already; pass --force to replace it"
        else:
            yield from _install(name, config, target)


def _check(config: DownloadConfig, names: tuple[str, ...]) -> None:
    if len(names) > 1:
        for option, given in (("--from-zip", config.from_zip), ("--out", config.out)):
            if given:
                raise InputError(
                    f"{option} is for one config, but {config.name} has {len(names)}: "
                    f"{', '.join(names)}"
                )
    if config.zip_only and config.out:
        raise InputError("--zip-only writes no folder; leave out either it or --out")


def _zip_of(name: str, config: DownloadConfig) -> Path:
    if config.from_zip:
        return adopt(name, config.from_zip, force=config.force)
    return fetch(name, force=config.force)


def _install(name: str, config: DownloadConfig, target: Path) -> Iterator[str]:
    report = install(name, from_zip=config.from_zip, force=config.force, out=config.out)
    yield f"{name}: {report.neurons} neurons in {len(report.layers)} layers: {target}"
    for difference in report.differences:
        yield f"differs from what was published: {difference}"
    source = RELEASES[name].source
    if not report.images and source:
        yield (
            f"it has no images: they are of {SOURCES[source].title}, and from your copy of it "
            f"`milannotations attach-images {config.out or name} --source FOLDER` fills them in"
        )
