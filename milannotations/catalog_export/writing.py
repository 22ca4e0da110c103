"""Writes the PNG files and the list.

The list has the fields of the JSON files that the original project publishes for its neuron
catalog, and annotations, peak activations and thresholds beside them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from milannotations.errors import InputError
from milannotations.progress import progress_bar
from milannotations.pytorch import ExemplarDataset
from milannotations.record import keys_of
from milannotations.storage import atomic_folder, check_target
from milannotations.viewer.choice import Layer, choose
from milannotations.viewer.facts import Descriptions

CATALOG = "catalog.json"


@dataclass(frozen=True)
class CatalogReport:
    """What was written.

    Attributes:
        file: The list.
        layers: How many layers it names.
        units: How many units, of all layers.
        images: How many PNG files there are.
        notes: What the user should know, such as descriptions of other neurons.
    """

    file: Path
    layers: int
    units: int
    images: int
    notes: tuple[str, ...]


def write_catalog(
    neurons: Dataset,
    out: Path,
    *,
    descriptions: Sequence[Path] = (),
    layers: Sequence[str] | None = None,
    units: str | None = None,
    images: bool = True,
    opacity: float = 0.75,
    base_url: str = "",
    overwrite: bool = False,
) -> CatalogReport:
    """Write masked exemplars as ``images/LAYER/unit_N/image_RANK.png``, and ``catalog.json``.

    Args:
        neurons: Records of one network.
        out: Folder to write; it appears only when it is complete.
        descriptions: Files of descriptions, as ``milannotations describe`` writes them. One gives
            each unit a ``description``, several give ``descriptions`` by method.
        layers: Names or patterns, such as ``layer*``; default all layers.
        units: Numbers and ranges, such as ``0-99,512``; default all units.
        images: Write the PNG files; without them the list still names them.
        opacity: How much of an image is hidden outside its mask, from 0 to 1.
        base_url: What stands before the images' paths in the list.
        overwrite: Replace ``out`` if it exists.

    Raises:
        InputError: If the records are of several networks or have no images, or something that is
            named does not exist.
    """
    check_target(out, overwrite)
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}; it must be between 0 and 1")
    keys = keys_of(neurons)
    networks = sorted({(key.model, key.dataset) for key in keys})
    if len(networks) != 1:
        raise InputError(
            f"the records are of {len(networks)} networks ({networks[:3]}); export one at a time"
        )
    chosen = choose(keys, layers, units)
    view = ExemplarDataset(neurons, annotation_count=None)
    unit_descriptions = Descriptions(
        descriptions, [layer.key(at) for layer in chosen for at in range(len(layer.units))]
    )
    rows = [(layer, at) for layer in chosen for at in range(len(layer.units))]
    model, dataset = networks[0]
    listed: list[dict[str, Any]] = []
    with atomic_folder(out, overwrite) as folder, progress_bar() as progress:
        task = progress.add_task("Writing units", total=len(rows))

        def entry(row: tuple[Layer, int]) -> dict[str, Any]:
            layer, at = row
            paths = _paths(layer, at, view)
            if images:
                _write_images(view, layer.rows[at], [folder / path for path in paths], opacity)
            progress.advance(task)
            facts = _facts(view, layer, at, unit_descriptions)
            return {**facts, "images": [_address(base_url, path) for path in paths]}

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            listed += pool.map(entry, rows)
        catalog = {
            "name": f"{model}_{dataset}",
            "architecture": model,
            "dataset": dataset,
            "layers": [layer.name for layer in chosen],
            "units": listed,
        }
        text = json.dumps(catalog, indent=1, ensure_ascii=False)
        (folder / CATALOG).write_text(text + "\n", encoding="utf-8")
    written = sum(len(unit["images"]) for unit in listed) if images else 0
    return CatalogReport(
        out / CATALOG, len(chosen), len(listed), written, tuple(unit_descriptions.notes)
    )


def _paths(layer: Layer, at: int, view: ExemplarDataset) -> list[Path]:
    folder = Path("images", layer.folder, f"unit_{layer.units[at]}")
    count = len(view.neurons.with_format("arrow")[layer.rows[at]]["images"][0])
    return [folder / f"image_{rank}.png" for rank in range(count)]


def _write_images(view: ExemplarDataset, row: int, paths: Sequence[Path], opacity: float) -> None:
    for path, image in zip(paths, view[row].as_pil_images(opacity), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def _facts(
    view: ExemplarDataset, layer: Layer, at: int, descriptions: Descriptions
) -> dict[str, Any]:
    columns = ["activations", "threshold", "annotations"]
    record = view.neurons.with_format(None).select_columns(columns)[layer.rows[at]]
    facts: dict[str, Any] = {"layer": layer.name, "unit": layer.units[at]}
    texts = {descriptions.methods[number]: text for number, text in descriptions.of(layer.key(at))}
    if len(descriptions.methods) == 1:
        facts["description"] = next(iter(texts.values()), None)
    elif descriptions.methods:
        facts["descriptions"] = texts
    return {
        **facts,
        "activations": [_finite(peak) for peak in record["activations"]],
        "threshold": _finite(record["threshold"]),
        "annotations": record["annotations"],
    }


def _finite(value: float | None) -> float | None:
    """Return a number as JSON has it: there is no NaN."""
    return value if value is not None and math.isfinite(value) else None


def _address(base_url: str, path: Path) -> str:
    return f"{base_url.rstrip('/')}/{path.as_posix()}" if base_url else path.as_posix()
