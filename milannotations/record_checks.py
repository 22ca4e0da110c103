"""Checks of records from unknown sources, made once when they are loaded.

The types of the columns ensure neither that a cell has a value nor that an image has its bytes.
An image of which there is only a path would be opened when it is decoded, wherever that path leads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from milannotations.errors import InputError
from milannotations.parquet import OpenParquet
from milannotations.pictures import UnreadableImageError, opened, size_of, to_rgb
from milannotations.record import encoded_records, key_of

_KEYS = ("model", "dataset", "layer", "unit")
_PICTURES = {"images": "image", "masks": "mask"}
_LISTS = ("images", "masks", "activations", "image_ids")
_ROWS = 1_000


def check_records(neurons: Dataset, name: str | Path) -> None:
    """Check the cells of all records, without reading any image.

    Args:
        neurons: Records with ``milannotations.record.FEATURES``.
        name: Name of the data set, for messages.

    Raises:
        InputError: If a record lacks part of its key or a list, or has an invalid number, lists
            of different lengths, or an image or mask without bytes; names the row, the neuron and
            the exemplar, and says what to do.
    """
    for first, table in enumerate(neurons.with_format("arrow").iter(_ROWS)):
        check_table(table, name, first * _ROWS)


def check_table(table: pa.Table | pa.RecordBatch, name: str | Path, first: int = 0) -> None:
    """Check some records in the columns that the table has; see ``check_records``.

    Args:
        table: Records, with their keys.
        name: Name of the file or data set, for messages.
        first: Number of the first row, from 0.
    """
    _refuse(next(_problems(table), None), table, name, first)


def check_keys(table: pa.Table | pa.RecordBatch, name: str | Path, first: int = 0) -> None:
    """Check only that all records have a model, a dataset, a layer and a unit of at least 0.

    Raises:
        InputError: See ``check_records``.
    """
    _refuse(next(_keyless(table), None), table, name, first)


def _refuse(
    problem: tuple[int, str] | None, table: pa.Table | pa.RecordBatch, name: str | Path, first: int
) -> None:
    if problem is None:
        return
    row, what = problem
    key = {column: table.column(column)[row].as_py() for column in _KEYS}
    neuron = f"{key['model']}-{key['dataset']} {key['layer']}:{key['unit']}"
    raise InputError(f"{name}: row {first + row + 1} ({neuron}) {what}")


def check_image_headers(file: OpenParquet) -> None:
    """Check the headers of the records' images, without decoding the images.

    Raises:
        InputError: If a record is invalid; names the row, the neuron and the image.
    """
    row = 0
    for batch in file.batches([*_KEYS, *_LISTS], _ROWS):
        check_table(batch, file.name, row)
        row += len(batch)
        for record in batch.to_pylist():
            for number, picture in enumerate(record["images"]):
                name = f"{file.name}: {key_of(record)}: image {number}"
                try:
                    size_of(picture["bytes"], name)
                except UnreadableImageError as error:
                    raise InputError(f"{error}; {_REMEDY}") from error


def unreadable_exemplar(record: dict[str, Any], name: str) -> InputError | None:
    """Return what is wrong with a record's images and masks, or None if all can be decoded.

    Args:
        record: A record with images and masks as ``{"bytes", "path"}``.
        name: Name or source of the neuron, for the message.
    """
    sizes: dict[tuple[int, int], str] = {}
    for column, word in _PICTURES.items():
        for number, picture in enumerate(record[column] or []):
            label = f"{name}: {word} {number}"
            try:
                with opened((picture or {}).get("bytes") or b"", label) as image:
                    to_rgb(image)
                    sizes.setdefault(image.size, label)
            except UnreadableImageError as error:
                return InputError(f"{error}; {_REMEDY}")
    if len(sizes) > 1:
        some = ", ".join(f"{label} of {size[0]} × {size[1]}" for size, label in sizes.items())
        return InputError(f"{name}: the exemplars differ in size ({some}); {_REMEDY}")
    return None


def decoded_record(neurons: Dataset, row: int) -> dict[str, Any]:
    """Return a record in the data set's format, with its images decoded.

    Raises:
        IndexError: If the row does not exist.
        InputError: If an image or mask cannot be read; names the neuron and the exemplar.
    """
    try:
        record: dict[str, Any] = neurons[row]
        return record
    except IndexError:
        if not -len(neurons) <= row < len(neurons):
            raise
        raise _fault(neurons, row) from None
    except Exception as error:  # whatever Pillow and its codecs raise
        raise _fault(neurons, row) from error


def _fault(neurons: Dataset, row: int) -> InputError:
    record = next(encoded_records(neurons.select([range(len(neurons))[row]])))
    name = str(key_of(record))
    fault = unreadable_exemplar(record, name)
    return fault or InputError(f"{name}: its record cannot be read; {_REMEDY}")


_REMEDY = "build or import the records again, or leave this neuron's row out"


def _problems(table: pa.Table | pa.RecordBatch) -> Iterator[tuple[int, str]]:
    """Yield pairs of a row and what is wrong with it."""
    yield from _keyless(table)
    there = [column for column in (*_LISTS, "annotations") if column in table.schema.names]
    for column in there:
        empty = "write an empty list where there are none"
        yield from _rows(
            pc.is_null(table.column(column)), f"has no value in the column {column!r}; {empty}"
        )
    for column in there:
        if column in _PICTURES:
            yield from _pictures(table.column(column), _PICTURES[column])
        else:
            yield from _elements(table.column(column), column)
    yield from _lengths(table)


def _keyless(table: pa.Table | pa.RecordBatch) -> Iterator[tuple[int, str]]:
    for column in _KEYS:
        yield from _rows(pc.is_null(table.column(column)), f"has no {column}; {_REMEDY}")
    yield from _rows(pc.less(table.column("unit"), 0), f"has a negative unit; {_REMEDY}")


def _rows(wrong: Any, what: str) -> Iterator[tuple[int, str]]:
    numbers = np.flatnonzero(pc.fill_null(wrong, False).to_numpy(zero_copy_only=False))
    if len(numbers):
        yield int(numbers[0]), what


def _elements(lists: Any, column: str) -> Iterator[tuple[int, str]]:
    values = pc.list_flatten(lists)
    wrong = pc.is_null(values, nan_is_null=True)
    if column == "image_ids":
        wrong = pc.or_(wrong, pc.fill_null(pc.less(values, 0), False))
    element = _first(lists, wrong)
    if element is not None:
        row, number = element
        value = lists[row].as_py()[number]
        yield row, f"has {value} as number {number} of its {column}; {_REMEDY}"


def _pictures(lists: Any, word: str) -> Iterator[tuple[int, str]]:
    pictures = pc.list_flatten(lists)
    if pictures.type.get_field_index("bytes") < 0:  # the table was read without them
        return
    element = _first(lists, pc.is_null(pc.struct_field(pictures, "bytes")))
    if element is not None:
        row, number = element
        path = (lists[row].as_py()[number] or {}).get("path")
        named = f", only the name {path!r}, which is not opened" if path else ""
        yield (
            row,
            f"has no bytes in its {word} {number}{named}; write records with their images in them, "
            "or leave this neuron's row out",
        )


def _first(lists: Any, wrong: Any) -> tuple[int, int] | None:
    """Return the row of the first wrong element, and the element's number in that row's list."""
    flags = pc.fill_null(wrong, True).to_numpy(zero_copy_only=False)
    if not flags.any():
        return None
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths)
    element = int(flags.argmax())
    row = int(np.searchsorted(ends, element, side="right"))
    return row, element - int(ends[row] - lengths[row])


def _lengths(table: pa.Table | pa.RecordBatch) -> Iterator[tuple[int, str]]:
    """Yield the first record whose nonempty lists differ in length."""
    there = [column for column in _LISTS if column in table.schema.names]
    counted = (pc.list_value_length(table.column(column)) for column in there)
    lengths = np.stack([pc.fill_null(n, 0).to_numpy(zero_copy_only=False) for n in counted])
    wrong = np.flatnonzero(((lengths != 0) & (lengths != lengths.max(axis=0))).any(axis=0))
    if len(wrong):
        row = int(wrong[0])
        counts = ", ".join(
            f"{count} {column}" for column, count in zip(there, lengths[:, row], strict=True)
        )
        yield row, f"has lists of different lengths ({counts}); {_REMEDY}"
