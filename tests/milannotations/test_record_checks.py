"""Records of others: one sentence that names row, neuron and exemplar, for whatever is wrong."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from milannotations.catalog_export.writing import write_catalog
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint_of_files
from milannotations.loading import load, load_split, lookup
from milannotations.pytorch import ExemplarDataset
from milannotations.record import FEATURES
from milannotations.release_export.exporter import export_release

Record = dict[str, Any]
RANDOM = np.random.default_rng(0)


def _png(size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    pixels = RANDOM.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def _record(unit: int) -> Record:
    return {
        "model": "net", "dataset": "shapes", "layer": "conv1", "unit": unit,
        "images": [{"bytes": _png(), "path": None} for _ in range(2)],
        "masks": [{"bytes": _png(mode="1"), "path": None} for _ in range(2)],
        "activations": [2.0, 1.0], "image_ids": [3, 4], "threshold": 0.5, "annotations": ["a dog"],
    }  # fmt: skip


def _write(folder: Path, change: Callable[[Record], object] = lambda record: None) -> Path:
    records = [_record(unit) for unit in range(3)]
    change(records[1])
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(records, schema=FEATURES.arrow_schema)
    pq.write_table(table, folder / "data" / "000.parquet")
    return folder


def _set(column: str, value: Any) -> Callable[[Record], object]:
    return lambda record: record.update({column: value})


def _replace(column: str, value: Any) -> Callable[[Record], object]:
    return lambda record: record[column].__setitem__(1, value)


AT_ONCE: dict[str, tuple[Callable[[Record], object], str]] = {
    "no model": (_set("model", None), "has no model"),
    "no layer": (_set("layer", None), "has no layer"),
    "no unit": (_set("unit", None), "has no unit"),
    "negative unit": (_set("unit", -3), "has a negative unit"),
    "no images": (_set("images", None), "has no value in the column 'images'"),
    "no masks": (_set("masks", None), "has no value in the column 'masks'"),
    "no activations": (_set("activations", None), "has no value in the column 'activations'"),
    "no annotations": (_set("annotations", None), "has no value in the column 'annotations'"),
    "an annotation is missing": (_set("annotations", ["a", None]), "has None as number 1 of its a"),
    "an activation is missing": (_replace("activations", None), "has None as number 1 of its act"),
    "an activation is NaN": (_replace("activations", float("nan")), "has nan as number 1"),
    "an id is missing": (_replace("image_ids", None), "has None as number 1 of its image_ids"),
    "an id is negative": (_replace("image_ids", -5), "has -5 as number 1 of its image_ids"),
    "fewer images": (lambda r: r["images"].pop(), r"different lengths \(1 images, 2 masks"),
    "fewer masks": (lambda r: r["masks"].pop(), r"different lengths \(2 images, 1 masks"),
    "fewer activations": (lambda r: r["activations"].pop(), "2 masks, 1 activations"),
    "more ids": (lambda r: r["image_ids"].append(7), "2 activations, 3 image_ids"),
    "an image is missing": (_replace("images", None), "has no bytes in its image 1;"),
    "a mask is missing": (_replace("masks", None), "has no bytes in its mask 1;"),
    "an image of this machine": (
        _replace("images", {"bytes": None, "path": "/etc/hostname"}),
        "has no bytes in its image 1, only the name '/etc/hostname', which is not opened"),
    "an image elsewhere": (
        _replace("images", {"bytes": None, "path": "http://127.0.0.1:9/x.png"}),
        "only the name 'http://127.0.0.1:9/x.png', which is not opened"),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_no_reader_can_use_is_told_when_records_are_loaded(name: str, tmp_path: Path) -> None:
    """With the row and the neuron; `quality` may still look at them."""
    change, message = AT_ONCE[name]
    folder = _write(tmp_path / "records", change)
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert f"{folder}: row 2 (" in str(caught.value)
    if not name.startswith(("an image", "a mask")):  # what lies elsewhere is never opened
        assert len(load(folder, check=False)) == 3


DAMAGED = {
    "text": b"hello", "nothing": b"", "half": _png()[:40], "bad data": _png()[:-30] + bytes(30),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("column", ["images", "masks"])
def test_images_that_cannot_be_read_are_named(damage: str, column: str, tmp_path: Path) -> None:
    """By every reader that decodes them: neuron, exemplar and what to do."""
    broken = {"bytes": DAMAGED[damage], "path": None}
    neurons = load_split(_write(tmp_path / "records", _replace(column, broken)))
    what = rf"net-shapes conv1:1: {column[:-1]} 1 cannot be read as an image: .*leave this neuron"
    for read in (
        lambda: export_release(neurons, tmp_path / "release"),
        lambda: export_release(neurons, tmp_path / "release.zip"),
        lambda: write_catalog(neurons, tmp_path / "catalog"),
        lambda: ExemplarDataset(neurons, annotation_count=None)[1],
        lambda: ExemplarDataset(neurons, annotation_count=None).lookup("conv1", 1),
        lambda: lookup(neurons, "conv1", 1),
    ):
        with pytest.raises(InputError, match=what):
            read()
    assert {path.name for path in tmp_path.iterdir()} == {"records"}, "nothing half-written"
    assert len(lookup(neurons, "conv1", 0)["images"]) == 2
    if column == "masks":
        with pytest.raises(InputError, match="mask"):
            fingerprint_of_files([*(tmp_path / "records" / "data").iterdir()])


@pytest.mark.parametrize("column, mode", [("images", "RGB"), ("masks", "1")])
def test_exemplars_of_other_sizes_are_named(column: str, mode: str, tmp_path: Path) -> None:
    """A release has one size per layer, a tensor one per neuron."""
    other = {"bytes": _png((5, 20), mode), "path": None}
    neurons = load_split(_write(tmp_path / "records", _replace(column, other)))
    with pytest.raises(InputError, match=rf"conv1:1: {column[:-1]} 1 has 5 × 20 pixels, others"):
        export_release(neurons, tmp_path / "release")
    with pytest.raises(InputError, match="conv1:1: its images and masks cannot be stacked"):
        ExemplarDataset(neurons, annotation_count=None)[1]


def test_sound_records_pass_and_a_neuron_twice_does_not(tmp_path: Path) -> None:
    """Empty lists are no fault: releases lack some."""
    for column in ("images", "activations", "image_ids", "annotations"):
        assert len(load(_write(tmp_path / column, _set(column, [])))) == 3
    neurons = load_split(_write(tmp_path / "twice", _set("unit", 0)))
    with pytest.raises(InputError, match="neuron conv1:0 is there twice"):
        export_release(neurons, tmp_path / "release")
    (tmp_path / "none" / "data").mkdir(parents=True)
    pq.write_table(FEATURES.arrow_schema.empty_table(), tmp_path / "none" / "data" / "0.parquet")
    with pytest.raises(InputError, match=r"no folder or file that can be read|holds no"):
        load(tmp_path / "none")
