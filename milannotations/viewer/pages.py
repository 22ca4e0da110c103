"""Writes the pages: a folder that works from a disk as well as from any web server.

The first page holds the names of the layers, the style and the script. Everything else is loaded
when it is shown; see ``layer_files``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets

from milannotations.errors import InputError
from milannotations.loading import load
from milannotations.page import PageKit
from milannotations.progress import progress_bar
from milannotations.record import encoded_records, keys_of
from milannotations.storage import atomic_path, check_target, resumable_folder
from milannotations.untrusted_text import clean
from milannotations.viewer.choice import Layer, choose
from milannotations.viewer.config import ViewConfig
from milannotations.viewer.facts import (
    IMAGES,
    STATISTICS,
    Descriptions,
    Statistics,
    folders_of,
    read_image_names,
)
from milannotations.viewer.layer_files import TILE, UNITS_PER_FILE, Extras, write_layer

SITE = Path(__file__).parent / "site"
SCRIPTS = ("cards.js", "app.js")
UNITS_PER_PAGE = 48  # a multiple of UNITS_PER_FILE
_MAX_THREADS = 8


@dataclass(frozen=True)
class ViewReport:
    """A summary of the written pages.

    Attributes:
        page: The file to open.
        layers: Number of layers that it shows.
        units: Number of units in all layers.
        notes: What the user should know, such as that some descriptions are of other neurons.
    """

    page: Path
    layers: int
    units: int
    notes: tuple[str, ...]


def write_pages(config: ViewConfig) -> ViewReport:
    """Write pages that show the units of a dataset; resumes an interrupted run.

    Returns:
        A summary of the pages. The same input gives the same bytes.

    Raises:
        InputError: If the dataset, a layer, a unit or a file is missing or cannot be used, or the
            output folder exists.
    """
    check_target(config.out, config.overwrite)
    loaded = load(config.dataset, config.split)
    neurons = (
        concatenate_datasets([*loaded.values()]) if isinstance(loaded, DatasetDict) else loaded
    )
    assert isinstance(neurons, Dataset)
    keys = keys_of(neurons)
    chosen = choose(keys, config.layers, config.units)
    folders = folders_of(config.dataset)
    shown = {layer.key(at) for layer in chosen for at in range(len(layer.units))}
    extras = Extras(
        Statistics(folders),
        read_image_names(folders, _ids(neurons) if len(folders) == 1 else set()),
        Descriptions(config.descriptions, shown),
    )
    heading = config.title if config.title is not None else _title(config.dataset, chosen)
    index = _index(heading, chosen, extras.descriptions.methods)
    beside = [folder / name for folder in folders for name in (STATISTICS, IMAGES)]
    identity = {
        "neurons": neurons._fingerprint,
        "layers": list(config.layers) or None,
        "units": config.units,
        "files": [_digest(path) for path in (*config.descriptions, *beside) if path.is_file()],
        "page": hashlib.sha256(index.encode()).hexdigest(),
        "versions": {name: version(name) for name in ("milannotations", "pillow")},
    }
    with resumable_folder(config.out, identity, config.overwrite) as work:
        _write_layers(work, chosen, neurons, extras)
        with atomic_path(work / "index.html") as path:  # written last, as it is what users open
            path.write_bytes(index.encode("utf-8"))  # bytes, as the hashes depend on line ends
    return ViewReport(
        config.out / "index.html", len(chosen), len(shown), tuple(extras.descriptions.notes)
    )


def _write_layers(work: Path, chosen: Sequence[Layer], neurons: Dataset, extras: Extras) -> None:
    pool = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1))
    try:
        with progress_bar() as progress:
            task = progress.add_task("Drawing units", total=sum(len(x.units) for x in chosen))
            for layer in chosen:
                write_layer(
                    work / "layers" / layer.folder,
                    layer,
                    neurons,
                    extras,
                    pool,
                    lambda count: progress.advance(task, count),
                )
    finally:
        pool.shutdown(cancel_futures=True)


def _index(title: str, chosen: Sequence[Layer], methods: Sequence[str]) -> str:
    networks = list(dict.fromkeys((layer.model, layer.dataset) for layer in chosen))
    data: dict[str, Any] = {
        "perFile": UNITS_PER_FILE,
        "perPage": UNITS_PER_PAGE,
        "tile": TILE,
        "title": clean(title),
        "methods": [clean(name) for name in methods],
        "networks": [[clean(model), clean(dataset)] for model, dataset in networks],
        "layers": [
            {
                "label": layer.label,
                "name": clean(layer.name),
                "network": networks.index((layer.model, layer.dataset)),
                "folder": layer.folder,
                "units": len(layer.units),
            }
            for layer in chosen
        ],
    }
    return PageKit(SITE, site=True).render(
        "page.html.j2",
        scripts=SCRIPTS,
        data=data,
        loads_scripts=True,
        title=title,
        networks=networks,
        layers=len(chosen),
        units=sum(len(layer.units) for layer in chosen),
    )


def _title(dataset: str, chosen: Sequence[Layer]) -> str:
    networks = {(layer.model, layer.dataset) for layer in chosen}
    names = [name for network in networks for name in network if name]
    return " · ".join(names) if len(networks) == 1 and names else Path(dataset).name or dataset


def _ids(neurons: Dataset) -> set[int]:
    """Return the ids of all exemplars."""
    return {
        index
        for record in encoded_records(neurons, ["image_ids"])
        for index in record["image_ids"] or ()
    }


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
            return digest.hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
