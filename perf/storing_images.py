"""Measure the cost of storing exemplars' images, by image format and size of row groups.

An image is an exemplar of many units. Parquet stores it once per row group, as an entry of the
column's dictionary, so larger row groups store fewer copies; but a reader that takes a whole row
group holds every image expanded. This script compares the bytes of the column of images for

- plain: every image in every record (computed),
- groups: row groups as ``milannotations.folder`` writes them (written and measured),
- groups × 4, × 16: row groups with limits on bytes and rows that many times as large (written and
  measured),
- once: each distinct image once, the lower bound (computed).

The exemplars of units are drawn under two assumptions, because the published indices are not part
of this repository: *uniform*, any 15 of the 50,000 source images, and *skewed*, where an image's
weight in a layer is 1 / its rank, with different ranks in each layer of 256 units.

Sizes and times of encoding are those of the photographs in the demo data, 224 × 224. In the files,
an image is random bytes of the size of one of these photographs, different for each index: the
column is not compressed, so only sizes and equality matter.

Run ``python perf/storing_images.py``; it takes about two minutes and 1 GB of disk.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from milannotations import folder
from milannotations.defaults import DEFAULT_K, DEFAULT_SIZE, IMAGE_FORMATS
from milannotations.record import encode_image, encode_mask

DEMO = Path(folder.__file__).parent / "data" / "demo" / "network.parquet"
SOURCE_IMAGES = 50_000
LAYER = 256
FACTORS = (1, 4, 16)
MIB = 2**20


def photographs() -> list[Image.Image]:
    """Return the distinct photographs of the demo data."""
    found: dict[int, Image.Image] = {}
    for batch in pq.ParquetFile(DEMO).iter_batches(32, columns=["images", "image_ids"]):
        for record in batch.to_pylist():
            for index, image in zip(record["image_ids"], record["images"], strict=True):
                if index not in found:
                    found[index] = Image.open(io.BytesIO(image["bytes"])).convert("RGB")
    return list(found.values())


def measure_formats(pictures: list[Image.Image]) -> dict[str, list[int]]:
    """Print size and times of each format, and return the sizes in bytes."""
    sizes = {}
    print(f"{len(pictures)} photographs, {DEFAULT_SIZE} × {DEFAULT_SIZE}, one thread")
    print(f"{'format':8}{'KiB, mean':>11}{'encode ms':>11}{'decode ms':>11}")
    for image_format in IMAGE_FORMATS:
        start = time.perf_counter()
        encoded = [encode_image(picture, image_format) for picture in pictures]
        middle = time.perf_counter()
        for image in encoded:
            Image.open(io.BytesIO(image)).load()
        end = time.perf_counter()
        sizes[image_format] = [len(image) for image in encoded]
        each = 1000 / len(pictures)
        print(
            f"{image_format:8}{statistics.fmean(sizes[image_format]) / 1024:11.1f}"
            f"{(middle - start) * each:11.1f}{(end - middle) * each:11.1f}"
        )
    return sizes


def uniform(units: int) -> np.ndarray:
    """Draw exemplars, with all images equally likely; shape (units, k)."""
    rng = np.random.default_rng(0)
    return np.stack([rng.choice(SOURCE_IMAGES, DEFAULT_K, replace=False) for _ in range(units)])


def skewed(units: int) -> np.ndarray:
    """Draw exemplars, with a few images popular in each layer; shape (units, k)."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, SOURCE_IMAGES + 1)
    rows = []
    for unit in range(units):
        if unit % LAYER == 0:
            ranked = rng.permutation(SOURCE_IMAGES)
        # The k smallest exponential variables divided by weights are k draws without replacement.
        times = rng.exponential(size=SOURCE_IMAGES) / weights
        rows.append(ranked[np.argpartition(times, DEFAULT_K)[:DEFAULT_K]])
    return np.stack(rows)


def records(ids: np.ndarray, sizes: list[int]) -> Iterator[dict[str, Any]]:
    """Yield records with images of the given sizes."""
    noise = np.random.default_rng(0).bytes(2 * max(sizes))
    rng = np.random.default_rng(1)
    for unit, row in enumerate(ids.tolist()):
        blocks = rng.random((DEFAULT_K, 28, 28)) < 0.05
        masks = blocks.repeat(DEFAULT_SIZE // 28, 1).repeat(DEFAULT_SIZE // 28, 2)
        yield {
            "model": "model",
            "dataset": "dataset",
            "layer": f"layer{unit // LAYER}",
            "unit": unit % LAYER,
            "images": [
                index.to_bytes(8, "little") + noise[: sizes[index % len(sizes)] - 8]
                for index in row
            ],
            "masks": [encode_mask(mask) for mask in masks],
            "activations": [1.0] * DEFAULT_K,
            "image_ids": row,
            "threshold": None,
            "annotations": ["words"] * 3,
        }


def write(path: Path, ids: np.ndarray, sizes: list[int], factor: int) -> tuple[int, int, float]:
    """Write a file; return bytes of its images, those of its largest group, and seconds.

    The bytes of the largest group are those that its reader holds, with every image expanded.
    """
    names = ("GROUP_BYTES", "PLAIN_BYTES", "ROWS_PER_GROUP", "_DICTIONARY_BYTES")
    before = {name: getattr(folder, name) for name in names}
    folder.GROUP_BYTES *= factor
    folder.PLAIN_BYTES *= factor
    folder.ROWS_PER_GROUP *= factor
    # Arrow abandons a dictionary that exceeds its limit in the middle of a group.
    folder._DICTIONARY_BYTES = max(folder._DICTIONARY_BYTES, 2 * folder.GROUP_BYTES)
    try:
        start = time.perf_counter()
        folder.write_records(path, records(ids, sizes))
        seconds = time.perf_counter() - start
    finally:
        for name, value in before.items():
            setattr(folder, name, value)
    metadata = pq.ParquetFile(path).metadata
    stored = largest = first = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = (group.column(index) for index in range(group.num_columns))
        stored += sum(
            column.total_compressed_size
            for column in columns
            if column.path_in_schema == "images.list.element.bytes"
        )
        rows = ids[first : first + group.num_rows].ravel().tolist()
        largest = max(largest, sum(sizes[index % len(sizes)] for index in rows))
        first += group.num_rows
    return stored, largest, seconds


def reader_peak(path: Path, whole: bool) -> float:
    """Return by how many MiB a separate process grows when it reads a file."""
    command = [sys.executable, __file__, "--read", str(path), *(["--whole"] if whole else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def read(path: Path, whole: bool) -> None:
    """Read a file by groups or by 16 records, and print the growth of peak memory in MiB."""

    def status(field: str) -> int:
        text = Path("/proc/self/status").read_text(encoding="ascii")
        return int(text.split(f"{field}:")[1].split()[0])

    base = status("VmRSS")
    # pyarrow's default, pre-buffering, keeps everything it reads until the file is closed.
    file = pq.ParquetFile(path, pre_buffer=False)
    if whole:
        for number in range(file.num_row_groups):
            file.read_row_group(number)
    else:
        for _ in file.iter_batches(16):
            pass
    print((status("VmHWM") - base) / 1024)


def compare(
    name: str, draw: Callable[[int], np.ndarray], units: int, sizes: dict[str, list[int]]
) -> None:
    """Print the table of one assumption."""
    ids = draw(units)
    distinct, counts = np.unique(ids, return_counts=True)
    print(
        f"\n{name}: {units} units × {DEFAULT_K} = {ids.size} exemplars, {len(distinct)} distinct "
        f"images, the most popular in {counts.max()} units"
    )
    print(
        f"{'format':8}{'layout':12}{'MiB':>7}{'of plain':>10}{'of once':>9}{'write s':>9}"
        f"{'group MiB':>11}{'read 16':>9}{'read group':>12}"
    )
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "records.parquet"
        for image_format, known in sizes.items():
            plain = sum(known[index % len(known)] for index in ids.ravel().tolist())
            once = sum(known[index % len(known)] for index in distinct.tolist())

            def row(layout: str, size: int, more: str = "") -> None:
                print(
                    f"{image_format:8}{layout:12}{size / MIB:7.0f}{size / plain:10.2f}"  # noqa: B023
                    f"{size / once:9.2f}{more}"  # noqa: B023
                )

            row("plain", plain)
            for factor in FACTORS:
                stored, largest, seconds = write(path, ids, known, factor)
                peaks = [reader_peak(path, whole) for whole in (False, True)]
                more = f"{seconds:9.1f}{largest / MIB:11.0f}{peaks[0]:9.0f}{peaks[1]:12.0f}"
                row("groups" if factor == 1 else f"groups × {factor}", stored, more)
            row("once", once)


def main() -> None:
    """Measure the formats, then the layouts under both assumptions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read, arguments.whole)
        return
    sizes = measure_formats(photographs())
    print(
        "\nMiB: bytes of all images. group MiB: images of the largest row group, written out. "
        "read 16, read group:\ngrowth in MiB of a process that reads 16 records, or a whole row "
        "group, at a time."
    )
    for draw in (uniform, skewed):
        compare(draw.__name__, draw, arguments.units, sizes)


if __name__ == "__main__":
    main()
