"""The pixels of a release: every unit's masks and images, encoded into Parquet shards."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from milannotations.errors import InputError
from milannotations.folder import write_records
from milannotations.progress import progress_bar
from milannotations.record import encode_image, encode_mask
from milannotations.release.arrays import ArrayStream
from milannotations.release.layout import ReleaseLayer, ReleaseLayout
from milannotations.storage import atomic_path

# A size of shards that suits a hub; also the most work that an interruption can cost.
SHARD_BYTES = 256 * 2**20
_AHEAD = 2  # units read while others are encoded


def convert(
    layout: ReleaseLayout, work: Path, model: str, dataset: str, image_format: str
) -> dict[str, tuple[str, int]]:
    """Write all shards of a release that do not exist yet.

    Args:
        layout: The release.
        work: A resumable folder; shards go below ``data``, each written atomically.
        model: Name of the architecture.
        dataset: Name of the data it was trained on.
        image_format: See ``milannotations.record.IMAGE_FORMATS``.

    Returns:
        For each layer, the type of its masks and the value that stands for "activated".

    Raises:
        InputError: If a file is damaged, or masks hold more than two values.
    """
    data = work / "data"
    data.mkdir(exist_ok=True)
    conventions: dict[str, tuple[str, int]] = {}
    with progress_bar() as progress, ThreadPoolExecutor() as pool:
        total = sum(len(layer.units) for layer in layout.layers)
        task = progress.add_task("Converting units", total=total)
        for number, layer in enumerate(layout.layers):
            safe = re.sub(r"[^\w.-]", "_", layer.name)
            values = _MaskValues(data / f".{number:03d}.values", layer)
            masks = _Rows(layer.masks)
            images = _Rows(layer.images) if layer.images else None
            for span in _spans(layer):
                shard = data / f"{number:03d}-{safe}-{span.start:05d}.parquet"
                if shard.exists():
                    progress.advance(task, len(span))
                    continue
                records = _records(layer, span, layout, image_format, pool, values, masks, images)
                network = {"model": model, "dataset": dataset}
                write_records(
                    shard, progress.track(({**network, **r} for r in records), task_id=task)
                )
            conventions[layer.name] = (layer.masks.dtype.name, values.high)
    for path in data.glob(".*.values"):
        path.unlink()
    return conventions


class _MaskValues:
    """The value that stands for "activated" in a layer's masks, remembered across resumptions."""

    def __init__(self, path: Path, layer: ReleaseLayer) -> None:
        self._path = path
        self._place = layer.masks.place
        self._seen = int(path.read_text(encoding="ascii")) if path.exists() else 0

    @property
    def high(self) -> int:
        """1 or 255; 1 for a layer without a single activated position."""
        return self._seen or 1

    def check(self, masks: np.ndarray, unit: int) -> np.ndarray:
        """Return masks as booleans, after checking that they hold no more than two values."""
        if masks.dtype == np.bool_:
            return masks
        greatest = int(masks.max())
        binary = greatest <= 1 or (greatest == 255 and bool(((masks == 0) | (masks == 255)).all()))
        if not binary:
            raise InputError(
                f"{self._place}: unit {unit} has masks with the values "
                f"{np.unique(masks)[:5].tolist()}; masks hold 0 and 1, or 0 and 255"
            )
        if greatest and self._seen and greatest != self._seen:
            raise InputError(f"{self._place}: masks mix the values 1 and 255 (unit {unit})")
        self._seen = self._seen or greatest
        return masks != 0

    def save(self) -> None:
        with atomic_path(self._path) as path:
            path.write_text(str(self._seen), encoding="ascii")


class _Rows:
    """Rows of an array by number: reading in order costs nothing, any jump restarts the stream."""

    def __init__(self, stream: ArrayStream) -> None:
        self._stream = stream
        self._rows: Iterator[np.ndarray] = iter(())
        self._next = -1

    def __getitem__(self, row: int) -> np.ndarray:
        if row != self._next:
            self._rows, self._next = self._stream.rows(row), row
        self._next += 1
        return next(self._rows)


def _records(
    layer: ReleaseLayer,
    span: range,
    layout: ReleaseLayout,
    image_format: str,
    pool: ThreadPoolExecutor,
    values: _MaskValues,
    masks: _Rows,
    images: _Rows | None,
) -> Iterator[dict[str, Any]]:
    """Yield the records of some units of a layer; while one is encoded, the next is read."""

    def started(row: int) -> dict[str, Any]:
        unit = layer.units[row]
        seen = values.check(masks[row][:, 0], unit)
        pixels = images[row].transpose(0, 2, 3, 1) if images is not None else ()
        return {
            "layer": layer.name,
            "unit": unit,
            "images": pool.map(lambda image: _encode(image, image_format), pixels),
            "masks": pool.map(encode_mask, seen),
            "activations": layer.activations[row] if layer.activations else [],
            "image_ids": layer.ids[row] if layer.ids else [],
            "threshold": None,
            "annotations": layout.annotations.get((layer.name, unit), []),
        }

    def finished(record: dict[str, Any]) -> dict[str, Any]:
        return {**record, "images": list(record["images"]), "masks": list(record["masks"])}

    waiting: deque[dict[str, Any]] = deque()
    for row in span:
        waiting.append(started(row))
        if len(waiting) > _AHEAD:
            yield finished(waiting.popleft())
    yield from map(finished, waiting)
    values.save()  # before the shard is complete, so that it is not lost


def _encode(pixels: np.ndarray, image_format: str) -> bytes:
    return encode_image(Image.fromarray(np.ascontiguousarray(pixels)), image_format)


def _spans(layer: ReleaseLayer) -> list[range]:
    """Divide a layer into shards of about ``SHARD_BYTES``, the same on every run."""
    _, k, _, height, width = layer.masks.shape
    # About 1.2 bytes per pixel for a losslessly encoded photograph, 1/20 for a mask.
    unit = k * height * width * (1.2 if layer.images else 0.05) + 1024
    step = max(1, int(SHARD_BYTES / unit))
    count = len(layer.units)
    return [range(first, min(first + step, count)) for first in range(0, count, step)]
