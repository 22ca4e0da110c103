"""Converting a release into the folder where ``load`` finds it, or into another one."""

from __future__ import annotations

from milannotations.data_home import config_folder, make_folder
from milannotations.release.config import ImportReleaseConfig
from milannotations.release.facts import ImportReport
from milannotations.release.importer import import_release, names


def run_import_release(config: ImportReleaseConfig) -> ImportReport:
    """Convert the release that a config names; errors are those of ``import_release``."""
    name = names(config.source, config.config, config.model, config.dataset)[2]
    target = config.out or config_folder(name)
    make_folder(target.parent)
    return import_release(
        config.source,
        target,
        config=config.config,
        model=config.model,
        dataset=config.dataset,
        image_format=config.image_format,
        overwrite=config.overwrite,
        drop_unknown=config.drop_unknown,
        record=config.out is None,
    )
