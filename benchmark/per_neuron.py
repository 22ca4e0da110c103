"""The table beside a result: one row per neuron, read from bytes that may come from anyone.

Its columns are split, model, dataset, layer, unit, description, and one per metric with that
neuron's own value (null where it has none). Since version 3 of results, the file's metadata also
hold the result that the table was written with, so that the two can be compared.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from milannotations import parquet
from milannotations.errors import InputError

PER_NEURON_COLUMNS = ("split", "model", "dataset", "layer", "unit", "description")
KEYS = PER_NEURON_COLUMNS[:-1]
SUFFIX = ".per_neuron.parquet"
MAX_BYTES = 2 * 2**30
_RECORD = b"milannotations.result"


def write_table(table: pd.DataFrame, record: dict[str, Any]) -> bytes:
    """Return a table as a Parquet file.

    Args:
        table: Has ``PER_NEURON_COLUMNS`` and one column per metric.
        record: The result that the table belongs to, as JSON; it is stored in the file's metadata.

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
        arrow = parquet.read_table(data, name="it")
        with parquet.parquet_errors("it"):
            record = _record(arrow.schema.metadata or {})
    except InputError as error:
        raise _unusable(name, error) from error
    _check_columns(arrow.schema, name)
    try:
        with parquet.parquet_errors("it"):
            table = pd.DataFrame({column: _values(arrow, column) for column in arrow.column_names})
    except InputError as error:
        raise _unusable(name, error) from error
    _check_keys(table, name)
    return table, record


def _unusable(name: str, error: InputError) -> InputError:
    return InputError(
        f"{name}: not a Parquet table that can be used: {error}; score the method again"
    )


def _check_columns(schema: pa.Schema, name: str) -> None:
    names = schema.names
    lacking = [column for column in PER_NEURON_COLUMNS if column not in names]
    if lacking:
        raise InputError(f"{name} lacks the columns {lacking}")
    twice = sorted({column for column in names if names.count(column) > 1})
    if twice:
        raise InputError(f"{name} has two columns {twice[0]!r}")
    for field in schema:
        kind = field.type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if field.name in PER_NEURON_COLUMNS and field.name != "unit":
            if not text:
                raise InputError(f"{name}: the column {field.name!r} has {kind}, not texts")
        elif not number and not (pa.types.is_null(kind) and field.name != "unit"):
            raise InputError(
                f"{name}: units and values must be numbers: the column {field.name!r} has {kind}"
            )


def _values(arrow: pa.Table, column: str) -> Any:
    values = arrow.column(column)
    if column == "unit":
        if values.null_count:
            raise ValueError("a unit is null")
        return values.cast(pa.int64()).to_numpy()  # refuses 1.5 and numbers that do not fit
    if column in PER_NEURON_COLUMNS:
        return values.to_pandas().astype(object)
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
