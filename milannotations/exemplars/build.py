"""Build neuron records from a network and images, in one pass over the images for all layers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor, nn
from torch.utils.data import DataLoader

from milannotations.errors import InputError
from milannotations.exemplars import instrument
from milannotations.exemplars.render import encoded_masks
from milannotations.exemplars.sources import Batch, Loadable, Source, collate
from milannotations.exemplars.statistics import LayerStatistics
from milannotations.folder import ROWS_PER_GROUP, RecordWriter, write_card
from milannotations.progress import progress_bar
from milannotations.record import (
    DEFAULT_K,
    DEFAULT_QUANTILE,
    DEFAULT_SIZE,
    IMAGE_FORMATS,
    encode_image,
)
from milannotations.storage import atomic_folder


@dataclass(frozen=True)
class BuildOptions:
    """How exemplars are chosen and stored; defaults follow the MILAN paper, section 3.1.

    Attributes:
        k: Exemplars per unit.
        quantile: Activation quantile, over all positions of all images, of the threshold.
        size: Side of exemplars and masks in pixels.
        batch_size: Images per forward pass; it does not change the result.
        workers: Processes that read images; 0 reads in the main process.
        image_format: ``jpeg``, or lossless ``png`` or ``webp``.
        skip_unreadable: Leave out images that cannot be read instead of stopping.
    """

    k: int = DEFAULT_K
    quantile: float = DEFAULT_QUANTILE
    size: int = DEFAULT_SIZE
    batch_size: int = 32
    workers: int = 0
    image_format: str = "jpeg"
    skip_unreadable: bool = False

    def check(self, images: int) -> None:
        """Raise InputError for values that cannot work with that many images."""
        if self.k < 1:
            raise InputError(f"k is {self.k}; it must be at least 1")
        if self.k > images:
            raise InputError(f"k is {self.k}, but there are only {images} images")
        if not 0 < self.quantile < 1:
            raise InputError(f"quantile is {self.quantile}; it must lie between 0 and 1")
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}; it must be at least 1")
        if self.size < 1:
            raise InputError(f"size is {self.size}; it must be at least 1 pixel")
        if self.image_format not in IMAGE_FORMATS:
            raise InputError(
                f"image format {self.image_format!r}; choose one of {sorted(IMAGE_FORMATS)}"
            )
        if self.workers < 0:
            raise InputError(f"workers is {self.workers}; it must be 0 or more")


@dataclass
class BuildReport:
    """What a build did: where the folder is, and what was left out."""

    folder: Path
    layers: dict[str, tuple[int, int, int]]
    images: int
    unreadable: list[str] = field(default_factory=list)


def build(
    module: nn.Module,
    source: Source,
    layers: Sequence[str],
    out: Path,
    *,
    model: str,
    dataset: str,
    options: BuildOptions | None = None,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    provenance: dict[str, Any] | None = None,
) -> BuildReport:
    """Find every unit's exemplars and write them as a dataset folder.

    Args:
        module: The network; put into evaluation mode.
        source: The images.
        layers: Layer names or patterns; each must give N × units × height × width.
        out: Folder to write; it appears only when it is complete.
        model: Name of the architecture, for the records.
        dataset: Name of the data the network was trained on, for the records.
        options: See ``BuildOptions``.
        device: Where the network runs.
        overwrite: Replace ``out`` if it exists.
        provenance: More facts for ``build.json``.

    Returns:
        The folder and what was left out.

    Raises:
        InputError: For anything a user can mend, before the pass where that is possible.
    """
    options = options or BuildOptions()
    options.check(len(source))
    names = instrument.match_layers(module, layers)
    module.eval().to(device)
    with atomic_folder(out, overwrite) as folder, progress_bar() as progress:
        shapes = instrument.probe(module, names, _first_readable(source)[None].to(device))
        statistics, unreadable = _collect(module, source, shapes, options, device, progress)
        report = BuildReport(out, shapes, len(source) - len(unreadable), unreadable)
        if options.k > report.images:
            raise InputError(f"k is {options.k}, but only {report.images} images can be read")
        exemplars = _Exemplars(folder / ".exemplars", source, options)
        exemplars.encode(torch.cat([s.top.ids.flatten() for s in statistics.values()]), progress)
        (folder / "data").mkdir()
        total = sum(shape[0] for shape in shapes.values())
        task = progress.add_task("Writing records", total=total)
        for number, (layer, kept) in enumerate(statistics.items()):
            safe = re.sub(r"[^\w.-]", "_", layer)
            with RecordWriter(folder / "data" / f"{number:03d}-{safe}.parquet") as writer:
                for group in _records(kept, exemplars, options):
                    writer.write(
                        [{"model": model, "dataset": dataset, "layer": layer, **r} for r in group]
                    )
                    progress.advance(task, len(group))
        exemplars.remove()
        _write_provenance(folder, source, report, options, provenance or {})
        units = ", ".join(f"`{layer}` ({shape[0]})" for layer, shape in shapes.items())
        write_card(
            folder,
            f"{model}, trained on {dataset}",
            f"Neuron records of {model}: the {options.k} images that activate each unit most, of "
            f"{report.images}, with masks at the {options.quantile} quantile of its activations. "
            f"Layers (units): {units}. `image_ids` count the lines of `images.csv`.",
        )
    return report


def _collect(
    module: nn.Module,
    source: Source,
    shapes: dict[str, tuple[int, int, int]],
    options: BuildOptions,
    device: torch.device | str,
    progress: Progress,
) -> tuple[dict[str, LayerStatistics], list[str]]:
    """Run all images through the network once and keep each layer's statistics."""
    statistics = {
        layer: LayerStatistics(
            units, options.k, height, width, options.quantile, len(source), device
        )
        for layer, (units, height, width) in shapes.items()
    }
    loader: DataLoader[Any] = DataLoader(
        Loadable(source),
        batch_size=options.batch_size,
        num_workers=options.workers,
        collate_fn=collate,
        pin_memory=torch.device(device).type == "cuda",
    )
    unreadable: list[str] = []
    current: list[Tensor] = []

    def keep(layer: str, maps: Tensor) -> None:
        bad = statistics[layer].update(current[0], maps)
        if bool(bad.any()):
            image, unit = (int(n) for n in bad.nonzero()[0])
            name = source.name(int(current[0][image]))
            raise InputError(
                f"layer {layer!r}, unit {unit} gives NaN or infinity for image {name}; "
                "check the weights and the preprocessing"
            )

    task = progress.add_task("Running the network", total=len(source))
    with torch.inference_mode(), instrument.activations(module, list(shapes), keep):
        batch: Batch
        for batch in loader:
            if batch.unreadable and not options.skip_unreadable:
                raise InputError(
                    f"unreadable image {batch.unreadable[0]} (pass --skip-unreadable to leave such "
                    "images out)"
                )
            unreadable += batch.unreadable
            if batch.inputs is not None:
                current[:] = [batch.ids.to(device)]
                module(batch.inputs.to(device, non_blocking=True))
            progress.advance(task, len(batch.ids) + len(batch.unreadable))
    return statistics, unreadable


class _Exemplars:
    """The winning images, each read and encoded once and kept on disk until it is written."""

    def __init__(self, folder: Path, source: Source, options: BuildOptions) -> None:
        self.folder = folder
        self.source = source
        self.options = options
        folder.mkdir()

    def encode(self, ids: Tensor, progress: Progress) -> None:
        winners = ids.unique().tolist()
        task = progress.add_task("Reading exemplars", total=len(winners))

        def one(index: int) -> None:
            image = self.source.image(index)
            encoded = encode_image(image, self.options.image_format)
            (self.folder / str(index)).write_bytes(encoded)
            progress.advance(task)

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            list(pool.map(one, winners))

    def read(self, ids: Iterable[int]) -> dict[int, bytes]:
        return {index: (self.folder / str(index)).read_bytes() for index in set(ids)}

    def remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


def _records(
    statistics: LayerStatistics, exemplars: _Exemplars, options: BuildOptions
) -> Iterator[list[dict[str, Any]]]:
    """Yield a layer's records, a row group at a time."""
    threshold = statistics.histogram.quantile().cpu()
    minimum = statistics.histogram.minimum.cpu()
    all_ids, values = statistics.top.ids.cpu(), statistics.top.values.cpu()
    for first in range(0, len(threshold), ROWS_PER_GROUP):
        units = slice(first, min(first + ROWS_PER_GROUP, len(threshold)))
        maps = statistics.top.maps(units).cpu()
        images = exemplars.read(all_ids[units].flatten().tolist())
        masks = encoded_masks(maps, threshold[units], minimum[units], options.size)
        yield [
            {
                "unit": unit,
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


def _first_readable(source: Source) -> Tensor:
    loadable = Loadable(source)
    for index in range(len(source)):
        _, inputs = loadable[index]
        if isinstance(inputs, Tensor):
            return inputs
    raise InputError(f"none of the {len(source)} images can be read")


def _write_provenance(
    folder: Path,
    source: Source,
    report: BuildReport,
    options: BuildOptions,
    provenance: dict[str, Any],
) -> None:
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "name"])
        writer.writerows((index, source.name(index)) for index in range(len(source)))
    facts = {
        **provenance,
        "layers": {layer: list(shape) for layer, shape in report.layers.items()},
        "images": report.images,
        "unreadable": report.unreadable,
        "options": asdict(options),
        "versions": {name: version(name) for name in ("milannotations", "torch", "torchvision")},
    }
    (folder / "build.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
