"""Tables of values per neuron that are damaged, and what is said of each."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

Change = Callable[[bytes], bytes]


def _table(change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Change:
    def changed(data: bytes) -> bytes:
        table = pd.read_parquet(io.BytesIO(data))
        replaced = change(table)
        out = io.BytesIO()
        (table if replaced is None else replaced).to_parquet(out, index=False)
        return out.getvalue()

    return changed


def _arrow(change: Callable[[pa.Table], pa.Table]) -> Change:
    def changed(data: bytes) -> bytes:
        out = io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(data))), out)
        return out.getvalue()

    return changed


def _cast(column: str, values: object) -> Change:
    return _table(lambda table: table.assign(**{column: values}))


def _huge(data: bytes) -> bytes:
    """Return a few kilobytes that unfold to 16 GB: one long text, named by two million rows."""
    long = "a" * 8192
    column = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(2_000_000, dtype=np.int32)), pa.array([long])
    )
    names = ["split", "model", "dataset", "layer", "unit", "description", "content"]
    columns = [column] * 4 + [pa.array(np.arange(2_000_000))] + [column]
    table = pa.table([*columns, pa.array(np.zeros(2_000_000))], names=names)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _wide(data: bytes) -> bytes:
    """Return a megabyte that unfolds to 4 GB of numbers."""
    zeros = pa.array(np.zeros(2_000_000))
    table = pa.table([zeros] * 250, names=[f"c{i}" for i in range(250)])
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


# Of each: what makes it from a whole table with a column `content`, and what is said of it.
DAMAGED: dict[str, tuple[Change, str]] = {
    "zero bytes": (lambda data: b"", "not a Parquet table"),
    "truncated at the end": (lambda data: data[:-8], "not a Parquet table"),
    "truncated in the middle": (lambda data: data[: len(data) // 2], "not a Parquet table"),
    "another format": (lambda data: b"split,model\na,b\n", "not a Parquet table"),
    "a broken page": (
        lambda data: data[:4] + b"\xff" * 400 + data[404:], "not a Parquet table"
    ),
    "a broken footer": (
        lambda data: data[:-60] + b"\xff" * 50 + data[-10:], "not a Parquet table"
    ),
    "no rows": (_table(lambda table: table.iloc[:0]), "has 0 rows"),
    "rows lack": (_table(lambda table: table.iloc[1:]), "rows of it"),
    "a row twice": (
        _table(lambda table: pd.concat([table, table.iloc[:1]])), "occurs twice in the split"
    ),
    "a row more": (
        _table(lambda table: pd.concat([table, table.iloc[:1].assign(unit=99)])), "rows of it"
    ),
    "rows of another split": (_cast("split", "elsewhere"), "splits.elsewhere is missing"),
    "no unit": (_table(lambda table: table.drop(columns="unit")), "lacks the columns ['unit']"),
    "no description": (
        _table(lambda table: table.drop(columns="description")), "lacks the columns"
    ),
    "no values": (_table(lambda table: table.drop(columns="content")), "no column 'content'"),
    "a column more": (_cast("kindness", 0.5), "metrics.kindness is missing"),
    "a column twice": (
        _arrow(lambda table: table.append_column("content", table.column("content"))),
        "two columns 'content'",
    ),
    "texts for values": (_cast("content", "high"), "'content' has"),
    "texts for units": (_cast("unit", "one"), "'unit' has"),
    "halves for units": (_cast("unit", 0.5), "not a Parquet table"),
    "booleans for values": (_cast("content", True), "'content' has bool"),
    "lists for values": (
        _table(lambda table: table.assign(content=[[1.0]] * len(table))), "'content' has list"
    ),
    "numbers for texts": (_cast("description", 5), "'description' has int64, not texts"),
    "bytes for texts": (_cast("layer", b"conv1"), "'layer' has binary, not texts"),
    "null texts": (_cast("description", pd.Series([None] * 8, dtype="string")), "rows lack"),
    "a null unit": (
        _table(lambda table: table.assign(unit=table["unit"].astype("Int64").where(
            table.index != 0))),
        "not a Parquet table",
    ),
    "NaN": (_cast("content", float("nan")), "the table has 0 values"),
    "infinity": (_cast("content", float("inf")), "values are infinite"),
    "other values": (_cast("content", 0.123), "the mean of the table is 0.123"),
    "dates for values": (_cast("content", pd.Timestamp("2026-01-01")), "'content' has timestamp"),
    "a huge one": (_huge, "more than 1,073,741,824 bytes unpacked"),
    "more cells than are read": (_wide, "more than 1,073,741,824 bytes unpacked"),
}  # fmt: skip
# Read as what they mean.
HARMLESS: dict[str, Change] = {
    "dictionaries of texts": _table(
        lambda table: table.astype(dict.fromkeys(("split", "model", "layer"), "category"))
    ),
    "small numbers": _arrow(
        lambda table: table.set_column(
            table.column_names.index("unit"), "unit", table.column("unit").cast(pa.int16())
        )
    ),
    "large texts": _arrow(
        lambda table: table.set_column(
            table.column_names.index("layer"), "layer",
            table.column("layer").cast(pa.large_string()),
        )
    ),
    "another order of rows": _table(lambda table: table.iloc[::-1]),
}  # fmt: skip
