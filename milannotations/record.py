"""The neuron record: the data stored about one neuron, with functions to check and show them.

A record holds one neuron of one layer: its exemplars (the images that activate it most), the
mask of each exemplar (where the neuron is activated), and people's descriptions of them. The
schema is ``FEATURES``; every dataset of this project, on disk or on a hub, has exactly these
columns.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from milannotations.defaults import IMAGE_FORMATS
from milannotations.errors import InputError
from milannotations.pictures.pixels import to_rgb

_ROWS_AT_ONCE = 16

FEATURES = Features(
    {
        "model": Value("string"),
        "dataset": Value("string"),
        "layer": Value("string"),
        "unit": Value("int32"),
        "images": List(Image()),
        "masks": List(Image()),
        "activations": List(Value("float32")),
        "image_ids": List(Value("int64")),
        "threshold": Value("float32"),
        "annotations": List(Value("string")),
    }
)


class NeuronKey(NamedTuple):
    """The key of a neuron; all tables of this project are joined on it."""

    model: str
    dataset: str
    layer: str
    unit: int

    def __str__(self) -> str:
        return f"{self.model}-{self.dataset} {self.layer}:{self.unit}"


def key_of(record: Mapping[str, Any]) -> NeuronKey:
    """Return the key of a record, or of any mapping with the four key columns."""
    return NeuronKey(
        str(record["model"]), str(record["dataset"]), str(record["layer"]), int(record["unit"])
    )


def keys_of(neurons: Dataset) -> list[NeuronKey]:
    """Return the keys of all neurons, in order, without decoding any image."""
    columns = (neurons[name] for name in NeuronKey._fields)
    return [
        NeuronKey(str(m), str(d), str(la), int(u)) for m, d, la, u in zip(*columns, strict=True)
    ]


def undecoded(neurons: Dataset) -> Dataset:
    """Return the same neurons with images and masks as ``{"bytes", "path"}``, not PIL images.

    This copies them; for large datasets use ``encoded_records``.
    """
    encoded = List(Image(decode=False))
    for column in ("images", "masks"):
        if column in neurons.features:
            neurons = neurons.cast_column(column, encoded)
    return neurons


def encoded_records(
    neurons: Dataset, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield records with images and masks as ``{"bytes", "path"}``, without decoding or copying.

    Args:
        neurons: Any dataset of neuron records; its own format does not matter.
        columns: Which columns; default all.
    """
    selected = neurons.select_columns(list(columns)) if columns is not None else neurons
    for table in selected.with_format("arrow").iter(_ROWS_AT_ONCE):
        yield from table.to_pylist()


def validate(record: Mapping[str, Any]) -> None:
    """Check one decoded record for everything that the schema alone does not ensure.

    Images, activations, image_ids and threshold may be absent: releases lack some of them.

    Args:
        record: One row of a dataset with ``FEATURES``; images and masks as PIL images.

    Raises:
        InputError: If the record is invalid; names the neuron and lists every problem.
    """
    missing = [name for name in FEATURES if name not in record]
    if missing:
        raise InputError(f"record lacks the columns {missing}; it has {sorted(record)}")
    problems = [*_problems_of_numbers(record), *_problems_of_pictures(record)]
    if problems:
        raise InputError(f"neuron {key_of(record)}: " + "; ".join(problems))


def _problems_of_numbers(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a record's numbers and with the lengths of its lists."""
    k = len(record["masks"])
    if record["unit"] < 0:
        yield f"unit is {record['unit']}; units count from 0"
    for name in ("activations", "image_ids", "images"):
        if record[name] and len(record[name]) != k:
            yield f"{len(record[name])} {name} for {k} masks"
    activations = np.asarray(record["activations"], dtype=np.float64)
    if not np.isfinite(activations).all():
        yield "activations hold NaN or infinity"
    elif (np.diff(activations) > 0).any():
        yield "activations are not in descending order"
    if any(index < 0 for index in record["image_ids"]):
        yield "image_ids hold a negative index"
    if record["threshold"] is not None and not math.isfinite(record["threshold"]):
        yield f"threshold is {record['threshold']}"


def _problems_of_pictures(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a record's masks and images."""
    for position, mask in enumerate(record["masks"]):
        if mask.mode != "1":
            yield f"mask {position} has mode {mask.mode!r}; masks are one-bit images"
    for position, (image, mask) in enumerate(zip(record["images"], record["masks"], strict=False)):
        if image.size != mask.size:
            yield f"image {position} is {image.size}, its mask {mask.size}"
        if image.mode != "RGB":
            yield f"image {position} has mode {image.mode!r}; images are RGB"


def encode_mask(mask: np.ndarray) -> bytes:
    """Encode a boolean array of shape (height, width) as a one-bit PNG."""
    # Written chunk by chunk: for files this small Pillow's overhead costs more than the
    # compression, and a build writes fifteen of them per unit.
    height, width = mask.shape
    rows = np.pad(np.packbits(mask, axis=1), ((0, 0), (1, 0)))  # a leading 0: unfiltered
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows.tobytes(), 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def encode_image(image: PILImage.Image, image_format: str = "jpeg") -> bytes:
    """Encode an exemplar as ``jpeg`` (quality 92), or losslessly as ``png`` or ``webp``."""
    if image_format not in IMAGE_FORMATS:
        raise InputError(f"image format {image_format!r}; choose one of {sorted(IMAGE_FORMATS)}")
    buffer = io.BytesIO()
    to_rgb(image).save(buffer, image_format, **IMAGE_FORMATS[image_format])
    return buffer.getvalue()


def masked_image(
    image: PILImage.Image, mask: PILImage.Image, opacity: float = 0.75
) -> PILImage.Image:
    """Show where a neuron is activated by darkening everything else.

    Args:
        image: RGB exemplar.
        mask: One-bit mask of the same size.
        opacity: How much of the image outside the mask is hidden, from 0 (none) to 1 (all).

    Returns:
        An RGB image of the same size: ``image * (mask + (1 - mask) * (1 - opacity))``.

    Raises:
        InputError: If opacity is outside [0, 1] or the sizes differ.
    """
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}; it must be between 0 and 1")
    if image.size != mask.size:
        raise InputError(f"image is {image.size}, mask {mask.size}; sizes must be equal")
    image = to_rgb(image)
    hidden = image.point([round(value * (1 - opacity)) for value in range(256)] * 3)
    return PILImage.composite(image, hidden, mask)


def masked_images(record: Mapping[str, Any], opacity: float = 0.75) -> list[PILImage.Image]:
    """Return all exemplars of a decoded record, masked; an empty list if it has no images."""
    return [
        masked_image(image, mask, opacity)
        for image, mask in zip(record["images"], record["masks"], strict=bool(record["images"]))
    ]


def image_grid(
    images: Sequence[PILImage.Image], columns: int = 5, size: int | None = None, gap: int = 2
) -> PILImage.Image:
    """Arrange images row by row on a white background.

    Args:
        images: One or more images; each is resized to the size of a cell.
        columns: Images per row.
        size: Side of a square cell in pixels; default the first image's size.
        gap: White pixels between cells.

    Raises:
        InputError: If there are no images or columns is below 1.
    """
    if not images:
        raise InputError("no images to lay out; has the dataset its source images attached?")
    if columns < 1:
        raise InputError(f"columns is {columns}; it must be at least 1")
    width, height = (size, size) if size else images[0].size
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    grid = PILImage.new(
        "RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white"
    )
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        cell = image if image.size == (width, height) else image.resize((width, height))
        grid.paste(cell, (column * (width + gap), row * (height + gap)))
    return grid
