"""Writing the catalog of a dataset that is named."""

from __future__ import annotations

from milannotations.catalog_export.config import ExportCatalogConfig
from milannotations.catalog_export.writing import CatalogReport, write_catalog
from milannotations.loading import load_split
from milannotations.storage import check_target


def run_export_catalog(config: ExportCatalogConfig) -> CatalogReport:
    """Load the units that a config names, and write them; errors are those of ``write_catalog``."""
    check_target(config.out, config.overwrite)
    return write_catalog(
        load_split(config.dataset, config.split),
        config.out,
        layers=config.layers or None,
        **config.model_dump(
            include={"descriptions", "units", "images", "opacity", "base_url", "overwrite"}
        ),
    )
