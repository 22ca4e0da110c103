"""Writing a config or dataset folder in the original layout."""

from __future__ import annotations

from pathlib import Path

from milannotations.catalog.releases import canonical, is_known
from milannotations.data_home import config_folder
from milannotations.loading import load_split
from milannotations.release.facts import read_facts
from milannotations.release_export.config import ExportReleaseConfig
from milannotations.release_export.exporter import ExportReport, export_release
from milannotations.storage import check_file, check_target


def run_export_release(config: ExportReleaseConfig) -> ExportReport:
    """Load the records that a config names, and write them out.

    Raises:
        InputError: If the records cannot be loaded or written; see ``export_release``.
    """
    check = check_file if config.out.suffix == ".zip" else check_target
    check(config.out, config.overwrite)
    name = config.name
    folder = config_folder(canonical(name)) if is_known(name) else Path(name)
    facts = read_facts(folder)
    return export_release(
        load_split(name, config.split),
        config.out,
        images=config.images,
        masks=facts.masks if facts else None,
        annotations=folder / "annotations.csv",
        overwrite=config.overwrite,
    )
