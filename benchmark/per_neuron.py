"""The table beside a result: one row per neuron, read from bytes that nobody vouches for.

Its columns are split, model, dataset, layer, unit, description, and one per metric with that
neuron's own value (null where it has none). Since version 3 of results the file's metadata also
hold the result that the table was written with, so that the two can be compared.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from milannotations.errors import InputError

PER_NEURON_COLUMNS = ("split", "model", "dataset", "layer", "unit", "description")
KEYS = PER_NEURON_COLUMNS[:-1]
SUFFIX = ".per_neuron.parquet"
MAX_BYTES = 2 * 2**30
MAX_ROWS = 20_000_000
MAX_COLUMNS = 300
MAX_CELLS = 200_000_000
MAX_UNPACKED = 2 * 2**30  # bytes of all columns
_RECORD = b"milannotations.result"


def write_table(table: pd.DataFrame, record: dict[str, Any]) -> bytes:
    """Return a table as a Parquet file.

    Args:
        table: With the columns of the module.
        record: The result it belongs to, as JSON; it goes into the file's metadata.

    Raises:
        ValueError: If a column is missing.
    """
    lacking = [column for column in PER_NEURON_COLUMNS if column not in table.columns]
    if lacking:
        raise ValueError(f"per-neuron table lacks columns {lacking}")
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), _RECORD: json.dumps(record).encode()}
    sink = pa.BufferOutputStream()
    pq.write_table(arrow.replace_schema_metadata(metadata), sink)
    return bytes(sink.getvalue())


def read_table(data: bytes, name: str) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Read a table and the record of the result that it was written with.

    Args:
        data: The Parquet file.
        name: What messages call it.

    Returns:
        The table, with texts as objects, units as int64 and values as float64; and the record,
        None in files of results before version 3.

    Raises:
        InputError: If it is damaged, too large, or no such table; it names the column.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        _check_size(file.metadata, name)
        _check_columns(file.schema_arrow, name)
        # As dictionaries: one long text named by a million rows must not be copied a million
        # times. Without pandas' own metadata, which a stranger wrote and pandas would follow.
        texts = [column for column in PER_NEURON_COLUMNS if column != "unit"]
        whole = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
        arrow = whole.read(use_pandas_metadata=False)
        arrow.validate(full=True)
        _check_texts(arrow, name)
        table = pd.DataFrame({name: _column(arrow, name) for name in arrow.column_names})
        record = _record(file.schema_arrow.metadata or {})
    except InputError:
        raise
    except (OSError, ValueError, KeyError, MemoryError, pa.ArrowException) as error:
        cause = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: not a Parquet table: {cause}; score the method again") from error
    _check_keys(table, name)
    return table, record


def _check_size(metadata: pq.FileMetaData, name: str) -> None:
    unpacked = sum(
        metadata.row_group(group).column(column).total_uncompressed_size
        for group in range(metadata.num_row_groups)
        for column in range(metadata.row_group(group).num_columns)
    )
    rows, cells = metadata.num_rows, metadata.num_rows * metadata.num_columns
    if rows > MAX_ROWS or cells > MAX_CELLS or unpacked > MAX_UNPACKED:
        raise InputError(
            f"{name}: {rows:,} rows, {cells:,} cells of {unpacked:,} bytes; at most {MAX_ROWS:,} "
            f"rows, {MAX_CELLS:,} cells of {MAX_UNPACKED:,} bytes are read"
        )


def _check_texts(arrow: pa.Table, name: str) -> None:
    """Refuse texts that would fill the memory if each cell had its own."""
    total = 0
    for column in PER_NEURON_COLUMNS:
        for chunk in arrow.column(column).chunks:
            if pa.types.is_dictionary(chunk.type):
                lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
                total += pc.sum(lengths.cast(pa.int64())).as_py() or 0
    if total > MAX_UNPACKED:
        raise InputError(
            f"{name}: texts of {total:,} bytes in all; at most {MAX_UNPACKED:,} are read"
        )


def _check_columns(schema: pa.Schema, name: str) -> None:
    names = schema.names
    if len(names) > MAX_COLUMNS:
        raise InputError(f"{name}: {len(names):,} columns; at most {MAX_COLUMNS} are read")
    lacking = [column for column in PER_NEURON_COLUMNS if column not in names]
    if lacking:
        raise InputError(f"{name} lacks the columns {lacking}")
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise InputError(f"{name} has two columns {twice[0]!r}")
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if field.name in PER_NEURON_COLUMNS and field.name != "unit":
            if not text:
                raise InputError(f"{name}: the column {field.name!r} has {kind}, not texts")
        elif not number and not (pa.types.is_null(kind) and field.name != "unit"):
            raise InputError(
                f"{name}: units and values must be numbers: the column {field.name!r} has {kind}"
            )


def _column(arrow: pa.Table, column: str) -> Any:
    values = arrow.column(column)
    if column in PER_NEURON_COLUMNS and column != "unit":
        return values.to_pandas().astype(object)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column == "unit":
        if values.null_count:
            raise ValueError("a unit is null")
        return values.cast(pa.int64()).to_numpy()  # refuses 1.5 and what does not fit
    return values.cast(pa.float64()).to_pandas().astype("float64")


def _check_keys(table: pd.DataFrame, name: str) -> None:
    for column in PER_NEURON_COLUMNS:
        missing = int(table[column].isna().sum())
        if missing:
            raise InputError(f"{name}: {missing:,} rows lack a value of {column!r}")
    again = table.duplicated(list(KEYS))
    if again.any():
        first = table.loc[again, list(KEYS)].iloc[0]
        raise InputError(
            f"{name}: the neuron {first['model']}/{first['dataset']} {first['layer']}:"
            f"{first['unit']} occurs twice in the split {first['split']!r}"
        )


def _record(metadata: dict[bytes, bytes]) -> dict[str, Any] | None:
    if _RECORD not in metadata:
        return None
    try:
        record = json.loads(metadata[_RECORD])
    except RecursionError as error:
        raise ValueError("its record of the result is nested too deep") from error
    if not isinstance(record, dict):
        raise ValueError("its record of the result is no mapping")
    return record
