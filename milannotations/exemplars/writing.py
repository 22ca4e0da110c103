"""From merged statistics to a dataset folder; only the exemplars' images are read again."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.progress import Progress
from torch import Tensor

from milannotations.errors import InputError
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.render import encoded_masks
from milannotations.exemplars.request import DatasetRequest
from milannotations.exemplars.shards import PartialStatistics
from milannotations.exemplars.statistics import LayerStatistics
from milannotations.folder import ROWS_PER_GROUP, RecordWriter, write_card
from milannotations.inputs.sources import Source
from milannotations.networks.record import BUILD_FILE, relative_weights
from milannotations.record import encode_image, encode_mask

STATISTICS_FILE = "statistics.parquet"
HISTOGRAM_BINS = 48
_STATISTICS_SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("dataset", pa.string()),
        ("layer", pa.string()),
        ("unit", pa.int32()),
        ("images", pa.int64()),
        ("minimum", pa.float32()),
        ("maximum", pa.float32()),
        ("threshold", pa.float32()),
        ("low", pa.float32()),
        ("high", pa.float32()),
        ("counts", pa.list_(pa.int32())),
    ]
)


def write_dataset(
    folder: Path,
    state: PartialStatistics,
    request: DatasetRequest,
    options: BuildOptions,
    progress: Progress,
) -> None:
    """Write records, statistics, the list of images and the card into an empty folder.

    Args:
        folder: Temporary folder, which the caller moves to its final path.
        state: The statistics of all images.
        request: The images, and additional facts for ``build.json``.
        options: How exemplars are stored.
        progress: The progress display.

    Raises:
        InputError: If there are fewer readable images than exemplars, or an exemplar's image has
            changed since it went through the network.
    """
    plan = state.plan
    images = state.done - len(state.unreadable)
    if plan.k > images:
        raise InputError(f"k is {plan.k}, but only {images} images can be read")
    exemplars = _Exemplars(folder / ".exemplars", request.source, options, state.checksums)
    ids = torch.cat(
        [statistics.top.ids.flatten().cpu() for statistics in state.statistics.values()]
    )
    exemplars.encode(ids, progress)
    (folder / "data").mkdir()
    total = sum(units for units, _, _ in plan.layers.values())
    task = progress.add_task("Writing records", total=total)
    same = {"model": plan.model, "dataset": plan.dataset}
    with pq.ParquetWriter(folder / STATISTICS_FILE, _STATISTICS_SCHEMA) as table:
        for number, (layer, statistics) in enumerate(state.statistics.items()):
            key = same | {"layer": layer}
            rows = [
                key | row | {"images": images}
                for row in _statistics(statistics, plan.numbers(layer))
            ]
            table.write_table(pa.Table.from_pylist(rows, schema=_STATISTICS_SCHEMA))
            safe = re.sub(r"[^\w.-]", "_", layer)
            with RecordWriter(folder / "data" / f"{number:03d}-{safe}.parquet") as writer:
                for group in _records(
                    statistics, plan.numbers(layer), exemplars, options, layer in plan.pooled
                ):
                    writer.write([key | row for row in group])
                    progress.advance(task, len(group))
    exemplars.remove()
    _write_provenance(folder, state, request, options)
    units = ", ".join(f"`{layer}` ({shape[0]})" for layer, shape in plan.layers.items())
    write_card(
        folder,
        f"{plan.model}, trained on {plan.dataset}",
        f"Neuron records of {plan.model}: the {plan.k} images that activate each unit most, of "
        f"{images}, with masks at the {plan.quantile} quantile of its activations (rule "
        f"`{options.masks}`). Layers "
        f"(units): {units}. `image_ids` count the lines of `images.csv`; `{STATISTICS_FILE}` "
        "holds each unit's extremes and a histogram of its activations.",
    )


class _Exemplars:
    """The exemplars' images, each read and encoded once and kept on disk until it is written."""

    def __init__(
        self, folder: Path, source: Source, options: BuildOptions, checksums: Tensor
    ) -> None:
        self.folder = folder
        self.source = source
        self.options = options
        self.checksums = checksums
        folder.mkdir()

    def encode(self, ids: Tensor, progress: Progress) -> None:
        winners = ids.unique().tolist()
        task = progress.add_task("Reading exemplars", total=len(winners))

        def one(index: int) -> None:
            if self.source.checksum(index) != int(self.checksums[index]):
                raise InputError(
                    f"image {self.source.name(index)} has changed since it went through the "
                    "network; build again with --no-resume"
                )
            encoded = encode_image(self.source.image(index), self.options.image_format)
            (self.folder / str(index)).write_bytes(encoded)
            progress.advance(task)

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            list(pool.map(one, winners))

    def read(self, ids: Iterable[int]) -> dict[int, bytes]:
        return {index: (self.folder / str(index)).read_bytes() for index in set(ids)}

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def _records(
    statistics: LayerStatistics,
    numbers: Sequence[int],
    exemplars: _Exemplars,
    options: BuildOptions,
    pooled: bool,
) -> Iterator[list[dict[str, Any]]]:
    """Yield a layer's records, a row group at a time."""
    threshold = statistics.quantile.quantile().cpu()
    minimum = statistics.quantile.minimum.cpu()
    all_ids, values = statistics.top.ids.cpu(), statistics.top.values.cpu()
    everywhere = encode_mask(np.ones((options.size, options.size), dtype=bool))
    for first in range(0, len(threshold), ROWS_PER_GROUP):
        units = slice(first, min(first + ROWS_PER_GROUP, len(threshold)))
        maps = statistics.top.maps(units).cpu()
        images = exemplars.read(all_ids[units].flatten().tolist())
        if pooled:  # a unit with one activation per image is active everywhere in it
            masks = [[everywhere] * len(row) for row in all_ids[units]]
        else:
            masks = encoded_masks(
                maps, threshold[units], minimum[units], options.size, options.masks
            )
        yield [
            {
                "unit": numbers[unit],
                "images": [images[index] for index in ids],
                "masks": masks[unit - first],
                "activations": values[unit].tolist(),
                "image_ids": ids,
                "threshold": float(threshold[unit]),
                "annotations": [],
            }
            for unit, ids in zip(
                range(units.start, units.stop), all_ids[units].tolist(), strict=True
            )
        ]


def _statistics(statistics: LayerStatistics, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield each unit's extremes, threshold and a histogram of its sample."""
    seen = statistics.quantile
    low, high = seen.minimum.cpu().numpy(), seen.maximum.cpu().numpy()
    threshold = seen.quantile().cpu().numpy()
    sample = statistics.sample.values.flatten(1).cpu().numpy()
    for unit in range(len(low)):
        # A dead unit's histogram has no width of its own.
        ends = (low[unit], high[unit] if high[unit] > low[unit] else low[unit] + 1)
        values = sample[unit][~np.isnan(sample[unit])]
        counts, _ = np.histogram(values, HISTOGRAM_BINS, ends)
        yield {
            "unit": numbers[unit],
            "minimum": low[unit],
            "maximum": high[unit],
            "threshold": threshold[unit],
            "low": ends[0],
            "high": ends[1],
            "counts": counts.tolist(),
        }


def _write_provenance(
    folder: Path, state: PartialStatistics, request: DatasetRequest, options: BuildOptions
) -> None:
    source = request.source
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "name"])
        writer.writerows((index, source.name(index)) for index in range(len(source)))
    plan = state.plan
    network = {
        **state.network,
        "model": plan.model,
        "dataset": plan.dataset,
        "weights_sha256": plan.weights,
        "near": relative_weights(state.network.get("weights") or "", folder),
        "preprocessing": plan.source.get("preprocessing"),
        "in_place": plan.in_place,
    }
    facts = {
        "model": network.get("spec"),
        "weights": network.get("weights"),
        **request.provenance,
        "network": network,
        "layers": {layer: list(shape) for layer, shape in plan.layers.items()},
        "units": plan.units,
        "images": state.done - len(state.unreadable),
        "unreadable": state.unreadable,
        "images_of": plan.source,
        "weights_sha256": plan.weights,
        "changed_in_place": plan.changed_in_place,
        # The statistics of merged shards may have been computed with another default.
        "options": asdict(replace(options, in_place=plan.in_place)),
        "versions": {name: version(name) for name in ("milannotations", "torch", "torchvision")},
    }
    (folder / BUILD_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
