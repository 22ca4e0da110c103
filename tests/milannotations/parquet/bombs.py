"""Parquet files of a few kilobytes that would take gigabytes, and files that lie or are damaged."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from milannotations.record import FEATURES

FEATURES_ORDER = [*FEATURES]


def written(table: pa.Table, **options: Any) -> bytes:
    """Return a table as a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def words(rows: int = 3, **columns: Any) -> pa.Table:
    """Return a table of words as descriptions and references have them, with columns replaced."""
    plain: dict[str, Any] = {
        "layer": pa.array(["conv1"] * rows),
        "unit": pa.array(np.arange(rows)),
        "description": pa.array(["a dog"] * rows),
        **columns,
    }
    return pa.table({name: column for name, column in plain.items() if column is not None})


def repeated(text: bytes | str, rows: int) -> pa.Array:
    """Return a column that says the same in all rows and holds it once."""
    zeros = pa.array(np.zeros(rows, np.int32))
    return pa.DictionaryArray.from_arrays(zeros, pa.array([text]))


def records(rows: int = 2, **columns: Any) -> pa.Table:
    """Return records without exemplars, with columns replaced."""
    plain: dict[str, Any] = {
        "model": ["net"] * rows, "dataset": ["shapes"] * rows, "layer": ["conv1"] * rows,
        "unit": list(range(rows)), "images": [[]] * rows, "masks": [[]] * rows,
        "activations": [[]] * rows, "image_ids": [[]] * rows, "threshold": [None] * rows,
        "annotations": [["a dog"]] * rows, **columns,
    }  # fmt: skip
    schema = FEATURES.arrow_schema
    return pa.table({name: pa.array(plain[name], schema.field(name).type) for name in FEATURES})


def same_images(rows: int, count: int, size: int) -> pa.Table:
    """Return records that all show one picture of some bytes, stored once."""
    picture = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows * count, np.int32)), pa.array([bytes(size)], pa.binary())
    )
    paths = pa.nulls(rows * count, pa.string())
    pictures = pa.StructArray.from_arrays([picture, paths], ["bytes", "path"])
    lists = pa.ListArray.from_arrays(np.arange(0, rows * count + 1, count, np.int32), pictures)
    return records(rows).set_column(FEATURES_ORDER.index("images"), "images", lists)


def same_annotation(rows: int, text: str) -> pa.Table:
    """Return records that all have one annotation, stored once."""
    ends = np.arange(rows + 1, dtype=np.int32)
    lists = pa.ListArray.from_arrays(ends, repeated(text, rows))
    return records(rows).set_column(FEATURES_ORDER.index("annotations"), "annotations", lists)


def footer_of(data: bytes) -> tuple[int, int]:
    """Return where the footer begins and how long it is."""
    (length,) = struct.unpack("<I", data[-8:-4])
    return len(data) - 8 - length, length


def with_rows(data: bytes, was: int, claimed: int) -> bytes:
    """Claim another number of rows: the first field of type i64 in the footer."""
    start, length = footer_of(data)
    footer = data[start : start + length]
    old, new = (b"\x16" + varint(2 * number) for number in (was, claimed))  # field 3, zigzag
    assert footer.count(old) >= 1
    at = footer.index(old)
    changed = footer[:at] + new + footer[at + len(old) :]
    return data[:start] + changed + struct.pack("<I", len(changed)) + b"PAR1"


def varint(number: int) -> bytes:
    """Return a number as Thrift's compact protocol writes it."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def deep(depth: int = 300) -> bytes:
    """Return a file whose only column lies in many structures."""
    kind = pa.int32()
    for _ in range(depth):
        kind = pa.struct([("a", kind)])
    return written(pa.table({"layer": pa.nulls(1, kind)}), store_schema=False)


def encrypted() -> bytes:
    """Return what an encrypted file begins and ends with."""
    data = written(words())
    return b"PARE" + data[4:-4] + b"PARE"


GOOD = written(words())
# By name: the file, and a piece of the sentence.
BAD: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no complete Parquet file"),
    "text": (lambda: b"layer,unit,description\n", "no complete Parquet file"),
    "magic alone": (lambda: b"PAR1PAR1", "no complete Parquet file"),
    "half": (lambda: GOOD[: len(GOOD) // 2], "no complete Parquet file"),
    "other magic": (lambda: b"PARX" + GOOD[4:], "no complete Parquet file"),
    "encrypted": (encrypted, "encrypted"),
    "footer longer than file": (
        lambda: GOOD[:-8] + struct.pack("<I", 2**20) + b"PAR1", "cannot be read"),
    "footer of 4 GB": (lambda: GOOD[:-8] + b"\xff" * 4 + b"PAR1", "footer of 4,294,967,295 bytes"),
    "footer of zeros": (
        lambda: b"PAR1" + bytes(1000) + struct.pack("<I", 900) + b"PAR1", "cannot be read"),
    "rows beyond": (lambda: with_rows(GOOD, 3, 2**40), "rows"),
    "rows below": (lambda: with_rows(GOOD, 3, 1), "says that it has 1 rows"),
    "negative rows": (lambda: with_rows(GOOD, 3, -1 & 2**63 - 1), "rows"),
    "deep": (deep, "cannot be read"),
    "many columns": (
        lambda: written(pa.table({f"c{at}": [1] for at in range(2000)})), "2,000 columns"),
}  # fmt: skip
WORDS_OF_OTHER_TYPES: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "bytes for texts": (
        lambda: written(words(description=pa.array([b"a dog"] * 3))), "type binary, not texts"),
    "numbers for texts": (
        lambda: written(words(description=pa.array([1, 2, 3]))), "type int64, not texts"),
    "lists for texts": (
        lambda: written(words(description=pa.array([["a dog"]] * 3))), "type list"),
    "lists for layers": (lambda: written(words(layer=pa.array([["conv1"]] * 3))), "'layer' holds"),
    "truth for units": (
        lambda: written(words(unit=pa.array([True, False, True]))), "type bool, not texts or num"),
    "dates for units": (
        lambda: written(words(unit=pa.array([1, 2, 3], pa.timestamp("us")))), "type timestamp"),
    "no values for texts": (
        lambda: written(words(description=pa.array(["a dog", None, "a cat"]))), "lacks a value"),
    "fractions for units": (
        lambda: written(words(unit=pa.array([0.0, 1.5, 2.0]))), "unit '1.5'"),
    "negative units": (lambda: written(words(unit=pa.array([0, -1, 2]))), "unit '-1'"),
    "no numbers for units": (
        lambda: written(words(unit=pa.array([0.0, float("nan"), 2.0]))), "lacks a value|'nan'"),
    "bomb of one text": (
        lambda: written(words(10_000, description=repeated("dog " * 250_000, 10_000))),
        "would take more than"),
    "bomb in another column": (
        lambda: written(words(10_000, note=repeated("dog " * 250_000, 10_000))),
        "would take more than"),
    "rows of nothing": (
        lambda: written(words(3_000_000, unit=repeated("1", 3_000_000))), "3,000,000 rows"),
}  # fmt: skip
RECORD_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "one picture everywhere": lambda: written(same_images(1_000, 15, 1_000_000)),
    "a record of gigabytes": lambda: written(same_images(1, 10_000, 1_000_000)),
    "one annotation everywhere": lambda: written(same_annotation(1_000, "dog " * 500_000)),
}


def words_bomb() -> bytes:
    """Return descriptions that all are one long text, stored once."""
    return written(words(10_000, description=repeated("dog " * 250_000, 10_000)))
