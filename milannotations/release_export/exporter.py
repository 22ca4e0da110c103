"""From records back to the original layout, so that the original code can read them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset
from numpy.lib import format as npy

from milannotations.annotations import read_annotations
from milannotations.errors import InputError
from milannotations.pictures import UnreadableImageError, opened, size_of, to_rgb
from milannotations.progress import progress_bar
from milannotations.record import NeuronKey, encoded_records
from milannotations.release.archive import ANNOTATIONS
from milannotations.release_export.pitfalls import original_pitfalls
from milannotations.storage import atomic_folder, atomic_path, check_file, reserved_file

_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|]|^\.|\.$|^$')
_BATCH = 256
_COLUMNS = ("layer", "unit", "summary")


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: The folder or zip.
        layers: Number of units in each layer.
        annotations: Number of annotations in all.
        images: Whether images were written.
        warnings: What the original code would misread.
    """

    path: Path
    layers: dict[str, int]
    annotations: int
    images: bool
    warnings: list[str] = field(default_factory=list)


def export_release(
    neurons: Dataset,
    out: Path,
    *,
    images: bool | None = None,
    masks: Mapping[str, tuple[str, int]] | None = None,
    annotations: Path | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write the records of one network in the original release's layout.

    Importing the result gives the same records. Exporting an imported release reproduces
    ``masks.npy``, ``ids.csv`` and ``annotations.csv`` byte for byte, if they had the form in which
    NumPy and the original code write them.

    Args:
        neurons: Records of one model and dataset, with masks.
        out: Folder to write, or a file that ends in ``.zip``.
        images: Write ``images.npy``; by default, for layers whose records all have images.
        masks: For each layer, the type and the value of "activated", from
            ``ImportReport.masks``; default ``uint8`` and 1.
        annotations: The published ``annotations.csv``; it is copied unchanged if it agrees with
            the records, and written anew otherwise.
        overwrite: Replace ``out`` if it exists.

    Raises:
        InputError: If the records belong to several networks, the records of a layer differ in
            size or number of exemplars, or the name of a layer cannot be that of a folder.
    """
    layers = _layers(neurons)
    plans = [_plan(neurons, layer, rows, images) for layer, rows in layers.items()]
    table = _annotation_file(neurons, annotations)
    with progress_bar() as progress:
        task = progress.add_task("Writing units", total=len(neurons))
        with _Folder(out, overwrite) as folder:
            if table is not None:
                with folder.open(ANNOTATIONS) as stream:
                    stream.write(table)
            for plan in plans:
                kind = (masks or {}).get(plan.layer, ("uint8", 1))
                plan.write(folder, kind, lambda: progress.advance(task))
    return ExportReport(
        out,
        {plan.layer: len(plan.rows) for plan in plans},
        sum(len(texts) for texts in neurons["annotations"]),
        all(plan.images for plan in plans),
        original_pitfalls({plan.layer: plan.units for plan in plans}),
    )


@dataclass
class _ExportedLayer:
    """One layer to write: the rows it consists of, and their common shape."""

    neurons: Dataset
    layer: str
    rows: list[int]
    k: int
    size: tuple[int, int]  # width, height
    images: bool

    @property
    def units(self) -> list[int]:
        """Numbers of the units, in the order in which they are written."""
        return [int(unit) for unit in self.neurons.select(self.rows).with_format(None)["unit"]]

    def write(self, folder: _Folder, kind: tuple[str, int], advance: Any) -> None:
        width, height = self.size
        table = self.neurons.select(self.rows).with_format(None)
        units = self.units
        ids, activations = table["image_ids"], table["activations"]
        if any(ids):
            folder.write(f"{self.layer}/ids.csv", _csv(ids, "%i"))
        if any(activations):
            # The original code's format; float32 has no more digits.
            folder.write(f"{self.layer}/activations.csv", _csv(activations, "%.5e"))
        if units != list(range(len(units))):
            buffer = io.BytesIO()
            np.save(buffer, np.array(units, dtype=np.int64))
            folder.write(f"{self.layer}/units.npy", buffer.getvalue())
        dtype, high = np.dtype(kind[0]), kind[1]
        with folder.open(f"{self.layer}/masks.npy") as stream:
            _header(stream, (len(units), self.k, 1, height, width), dtype)
            for unit, record in zip(units, encoded_records(table, ["masks"]), strict=True):
                for number, mask in enumerate(record["masks"]):
                    pixels = self._pixels(mask, "1", f"{self._of(unit)}: mask {number}")
                    stream.write((pixels * dtype.type(high)).astype(dtype).tobytes())
                advance()
        if self.images:
            with folder.open(f"{self.layer}/images.npy") as stream:
                _header(stream, (len(units), self.k, 3, height, width), np.dtype("uint8"))
                for unit, record in zip(units, encoded_records(table, ["images"]), strict=True):
                    for number, image in enumerate(record["images"]):
                        name = f"{self._of(unit)}: image {number}"
                        pixels = self._pixels(image, "RGB", name).transpose(2, 0, 1)
                        stream.write(np.ascontiguousarray(pixels).tobytes())

    @cached_property
    def _network(self) -> tuple[str, str]:
        first = self.neurons.select_columns(["model", "dataset"])[self.rows[0]]
        return first["model"], first["dataset"]

    def _of(self, unit: int) -> str:
        return str(NeuronKey(*self._network, self.layer, unit))

    def _pixels(self, encoded: Mapping[str, Any] | None, mode: str, name: str) -> np.ndarray:
        try:
            with opened((encoded or {}).get("bytes") or b"", name) as image:
                if image.size != self.size:
                    raise InputError(
                        f"{name} has {image.size[0]} × {image.size[1]} pixels, others of the layer "
                        f"have {self.size[0]} × {self.size[1]}; a release has one size per layer"
                    )
                return np.asarray(to_rgb(image) if mode == "RGB" else image.convert(mode))
        except UnreadableImageError as error:
            raise InputError(
                f"{error}; build or import the records again, or leave this neuron's row out"
            ) from error


class _Folder:
    """A folder or a zip that appears only once it is complete."""

    def __init__(self, out: Path, overwrite: bool) -> None:
        self._zipped = out.suffix == ".zip"
        if self._zipped:
            check_file(out, overwrite)
        self._out, self._overwrite = out, overwrite
        self._stack = ExitStack()

    def __enter__(self) -> _Folder:
        if self._zipped:
            self._stack.enter_context(reserved_file(self._out, self._overwrite))
            path = self._stack.enter_context(atomic_path(self._out))
            self._zip = self._stack.enter_context(
                zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
            )
        else:
            self._folder = self._stack.enter_context(atomic_folder(self._out, self._overwrite))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def open(self, name: str) -> IO[bytes]:
        if self._zipped:
            # A fixed time, so that the same records give the same zip.
            member = zipfile.ZipInfo(name, (2022, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            return self._zip.open(member, "w", force_zip64=True)
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        return path.open("wb")

    def write(self, name: str, data: bytes) -> None:
        with self.open(name) as stream:
            stream.write(data)


def _layers(neurons: Dataset) -> dict[str, list[int]]:
    """Return the rows of each layer, after checking that all belong to one network."""
    if not len(neurons):
        raise InputError("there are no records to export")
    networks = sorted(set(zip(neurons["model"], neurons["dataset"], strict=True)))
    if len(networks) > 1:
        raise InputError(
            f"the records are of {len(networks)} networks ({networks[:3]}); export one at a time"
        )
    layers: dict[str, list[int]] = {}
    for row, layer in enumerate(neurons["layer"]):
        layers.setdefault(layer, []).append(row)
    folded: dict[str, str] = {}
    for layer in layers:
        if _UNSAFE.search(layer):
            raise InputError(f"layer {layer!r} cannot be the name of a folder")
        other = folded.setdefault(layer.casefold(), layer)
        if other != layer:
            raise InputError(f"the layers {other!r} and {layer!r} differ only in case")
    return layers


def _plan(neurons: Dataset, layer: str, rows: list[int], images: bool | None) -> _ExportedLayer:
    table = neurons.select(rows)
    counts = _lengths(table, "masks")
    k = max(counts)
    if len(counts) > 1 or not k:
        raise InputError(
            f"layer {layer!r} has units with {sorted(counts)} masks; a release has one number, "
            "above zero, per layer"
        )
    for name in ("image_ids", "activations"):
        lengths = _lengths(table, name)
        if lengths not in ({0}, {k}):
            raise InputError(
                f"layer {layer!r} has units with {sorted(lengths)} {name} for {k} masks"
            )
    pictures = _lengths(table, "images")
    complete = pictures == {k}
    if images and not complete:
        raise InputError(
            f"layer {layer!r} has units without images; attach them first, or export without"
        )
    units = table.with_format(None)["unit"]
    twice = [unit for unit, count in Counter(units).items() if count > 1]
    if twice:
        raise InputError(
            f"the neuron {layer}:{twice[0]} is there twice; if the dataset has several splits, "
            "choose one"
        )
    table = table.with_format(None)
    first = next(encoded_records(table.select([0]), ["masks"]))["masks"][0]
    name = str(NeuronKey(table["model"][0], table["dataset"][0], layer, int(table["unit"][0])))
    size = size_of((first or {}).get("bytes") or b"", f"{name}: mask 0")
    return _ExportedLayer(neurons, layer, rows, k, size, complete if images is None else images)


def _lengths(table: Dataset, column: str) -> set[int]:
    """Return the lengths that occur in a list column, without reading the lists' contents."""
    column_table = table.select_columns([column]).with_format("arrow")
    return {
        length
        for batch in column_table.iter(_BATCH)
        for length in pc.list_value_length(batch[column]).to_pylist()
    }


def _annotation_file(neurons: Dataset, published: Path | None) -> bytes | None:
    """Return the annotations as CSV: the published file if it says the same."""
    annotations = {
        (layer, int(unit)): list(texts)
        for layer, unit, texts in zip(
            neurons["layer"], neurons["unit"], neurons["annotations"], strict=True
        )
        if texts
    }
    if published is not None and published.is_file():
        published_annotations = read_annotations(published)
        if {
            (key.layer, key.unit): texts for key, texts in published_annotations.items()
        } == annotations:
            return published.read_bytes()
    if not annotations:
        return None
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(
        [layer, unit, annotation]
        for (layer, unit), texts in annotations.items()
        for annotation in texts
    )
    return text.getvalue().encode("utf-8")


def _csv(rows: Iterable[Iterable[float]], number: str) -> bytes:
    return "".join(",".join(number % value for value in row) + "\n" for row in rows).encode("ascii")


def _header(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    npy.write_array_header_1_0(
        stream,
        {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )
