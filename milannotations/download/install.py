"""Putting a config where ``load`` finds it: its zip is fetched, checked and imported."""

from __future__ import annotations

from pathlib import Path

from milannotations.data_home import config_folder, make_folder
from milannotations.download.transfer import adopt, fetch
from milannotations.release.facts import ImportReport
from milannotations.release.importer import import_release
from milannotations.storage import check_target


def install(
    config: str, *, from_zip: Path | None = None, force: bool = False, out: Path | None = None
) -> ImportReport:
    """Fetch a config's zip, unless it is already here, and import it.

    Args:
        config: ``alexnet-imagenet`` and so on.
        from_zip: The zip, if the user has it; nothing is fetched then.
        force: Fetch again, accept another checksum, and replace what is there.
        out: Folder to write; by default, where ``load`` finds it.

    Raises:
        InputError: If no host provides the zip, or it cannot be imported.
    """
    target = out or config_folder(config)
    make_folder(target.parent)
    check_target(target, force)
    source = adopt(config, from_zip, force=force) if from_zip else fetch(config, force=force)
    return import_release(source, target, config=config, overwrite=force, record=out is None)
