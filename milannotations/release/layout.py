"""What a release holds, checked before anything is converted."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from milannotations.annotations import read_annotations
from milannotations.errors import InputError, did_you_mean
from milannotations.numerals import NumeralError, decimal, shown
from milannotations.release.archive import ANNOTATIONS, Files
from milannotations.release.arrays import ArrayStream
from milannotations.rows import plain_rows
from milannotations.tables import TableError

MAX_UNITS = 1_000_000
MAX_K = 1_000
MAX_SIDE = 4_096


@dataclass(frozen=True)
class ReleaseLayer:
    """The files of one layer.

    Attributes:
        name: Name of its folder.
        units: Unit numbers, one per row of the arrays.
        masks: Units × k × 1 × height × width; 0 and 1 or 0 and 255, or boolean.
        images: Units × k × 3 × height × width, or None.
        ids: Units × k indices into the source images, or None.
        activations: Units × k peak activations, or None.
    """

    name: str
    units: list[int]
    masks: ArrayStream
    images: ArrayStream | None
    ids: list[list[int]] | None
    activations: list[list[float]] | None

    @property
    def k(self) -> int:
        """Exemplars per unit."""
        return self.masks.shape[1]


@dataclass(frozen=True)
class ReleaseLayout:
    """A release: its layers, and the annotations by layer and unit.

    Attributes:
        layers: In the order in which the original code sorts them.
        annotations: By layer and unit, in the order of the file.
        unknown: Annotated units that the arrays do not have; they are left out.
    """

    layers: list[ReleaseLayer]
    annotations: dict[tuple[str, int], list[str]]
    unknown: list[tuple[str, int]] = field(default_factory=list)


def read_layout(
    files: Files, source_images: int | None = None, drop_unknown: bool = False
) -> ReleaseLayout:
    """Read and check everything but the pixels.

    Args:
        files: The release.
        source_images: Number of source images that ``ids.csv`` can refer to, if known.
        drop_unknown: Leave out annotations of units that do not exist, instead of refusing them.

    Raises:
        InputError: If anything is wrong; names the file, the row and the value.
    """
    layers = [_read_layer(files, name, source_images) for name in files.layers]
    annotations: dict[tuple[str, int], list[str]] = {}
    if ANNOTATIONS in files.sizes:
        table = io.BytesIO(files.read(ANNOTATIONS))
        rows = read_annotations(files.path / ANNOTATIONS, table)
        annotations = {(key.layer, key.unit): texts for key, texts in rows.items()}
    units = {(layer.name, unit) for layer in layers for unit in layer.units}
    unknown = [key for key in annotations if key not in units]
    if unknown and not drop_unknown:
        layer, unit = unknown[0]
        names = [release_layer.name for release_layer in layers]
        hint = did_you_mean(layer, names) if layer not in names else ""
        raise InputError(
            f"{files.name(ANNOTATIONS)} annotates {len(unknown)} units that no masks.npy has, for "
            f"example {layer}:{unit}{hint} (layers: {', '.join(names)}); "
            "--drop-unknown leaves such annotations out"
        )
    for key in unknown:
        del annotations[key]
    return ReleaseLayout(layers, annotations, unknown)


def _read_layer(files: Files, layer: str, source_images: int | None) -> ReleaseLayer:
    def has(name: str) -> bool:
        return f"{layer}/{name}" in files.sizes

    if not has("masks.npy"):
        raise InputError(f"{files.path}: layer {layer!r} has no masks.npy")
    masks = ArrayStream(files, f"{layer}/masks.npy", ("uint8", "bool"), 5)
    units, k, channels, height, width = masks.shape
    if channels != 1:
        raise InputError(f"{masks.place} has shape {masks.shape}; masks have one channel")
    if not (1 <= units <= MAX_UNITS and 1 <= k <= MAX_K and min(height, width) >= 1):
        raise InputError(f"{masks.place} has shape {masks.shape}, which no release has")
    if max(height, width) > MAX_SIDE:
        raise InputError(f"{masks.place} has masks of {height} × {width}; at most {MAX_SIDE}")
    images = None
    if has("images.npy"):
        images = ArrayStream(files, f"{layer}/images.npy", ("uint8",), 5)
        if images.shape != (units, k, 3, height, width):
            raise InputError(
                f"{images.place} has shape {images.shape}, but masks.npy has {masks.shape}; units, "
                "exemplars, height and width must be equal, and images have three channels"
            )
    numbers = list(range(units))
    if has("units.npy"):
        numbers = _read_units(files, layer, units)
    return ReleaseLayer(
        name=layer,
        units=numbers,
        masks=masks,
        images=images,
        ids=_read_ids(files, layer, units, k, source_images) if has("ids.csv") else None,
        activations=_read_activations(files, layer, units, k) if has("activations.csv") else None,
    )


def _read_units(files: Files, layer: str, count: int) -> list[int]:
    kinds = ("int64", "int32", "int16", "uint8", "uint16", "uint32", "uint64", "int8")
    stream = ArrayStream(files, f"{layer}/units.npy", kinds, 1)
    if stream.shape != (count,):
        raise InputError(f"{stream.place} has {stream.shape[0]} units, but masks.npy has {count}")
    numbers = [int(number) for number in stream.rows()]
    if min(numbers) < 0 or max(numbers) > np.iinfo(np.int32).max:
        raise InputError(f"{stream.place} holds unit {min(numbers)}..{max(numbers)}; count from 0")
    if len(set(numbers)) < count:
        twice = next(n for i, n in enumerate(numbers) if n in numbers[:i])
        raise InputError(f"{stream.place} holds unit {twice} twice")
    return numbers


def _read_ids(
    files: Files, layer: str, units: int, k: int, source_images: int | None
) -> list[list[int]]:
    name = f"{layer}/ids.csv"
    ids: list[list[int]] = []
    for row, cells in enumerate(_read_rows(files, name, units, k)):
        for cell in cells:
            if not (cell.isascii() and cell.isdigit() and len(cell) < 19):
                raise InputError(f"{files.name(name)}: row {row + 1} holds {cell!r}, not an index")
        ids.append([int(cell) for cell in cells])
        if source_images is not None and max(ids[-1]) >= source_images:
            raise InputError(
                f"{files.name(name)}: row {row + 1} holds index {max(ids[-1])}, but there are only "
                f"{source_images} source images"
            )
    return ids


def _read_activations(files: Files, layer: str, units: int, k: int) -> list[list[float]]:
    name = f"{layer}/activations.csv"
    activations = []
    for row, cells in enumerate(_read_rows(files, name, units, k)):
        try:
            values = [_activation(cell) for cell in cells]
        except NumeralError as error:
            raise InputError(f"{files.name(name)}: row {row + 1}: {error}") from error
        activations.append(values)
    return activations


def _activation(text: str) -> float:
    """Return a number that records, which keep activations as float32, can hold."""
    value = decimal(text)
    if abs(value) > np.finfo(np.float32).max:
        raise NumeralError(f"{shown(text)} is beyond what a float32 can hold, as records do")
    return value


def _read_rows(files: Files, name: str, units: int, k: int) -> Sequence[list[str]]:
    try:
        lines = plain_rows(files.read(name))
    except TableError as error:
        raise InputError(
            f"{files.name(name)}, line {error.line} is no table of numbers: {error}"
        ) from error
    rows = [[cell.strip() for cell in line.cells] for line in lines]
    if len(rows) != units:
        raise InputError(
            f"{files.name(name)} has {len(rows)} rows, but masks.npy has {units} units"
        )
    for row, cells in enumerate(rows):
        if len(cells) != k:
            raise InputError(
                f"{files.name(name)}: row {row + 1} has {len(cells)} values, but masks.npy has {k} "
                "exemplars per unit"
            )
    return rows
