"""Tables of words in Parquet files: which columns hold texts and which hold numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from milannotations.errors import InputError
from milannotations.parquet.reading import open_parquet, parquet_errors

MAX_ROWS = 2_000_000
MAX_BYTES = 2**30
_NUMBERS = ("unit", "score")  # columns that may hold numbers in place of texts


def read_words(
    path: Path, wanted: Sequence[str], canonical: Callable[[list[str]], list[str]]
) -> pd.DataFrame:
    """Read a Parquet file as a table of words.

    Args:
        path: The file.
        wanted: Columns to look for, whose types are checked.
        canonical: Maps the file's column names to the names that are looked for.

    Returns:
        All columns that hold texts or numbers, under these names; missing cells are None or NaN.

    Raises:
        InputError: If the file cannot be read or is too large, or a wanted column has a wrong type
            (only ``unit`` and ``score`` may hold numbers); names the file and the column.
    """
    with open_parquet(path) as file:
        names = [str(name) for name in file.schema.names]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"{path} has two columns {twice[0]!r}")
        called = dict(zip(names, canonical(names), strict=True))
        for original, name in called.items():
            kind = file.schema.field(original).type
            if name in wanted and not _fits(name, kind):
                takes = "texts or numbers" if name in _NUMBERS else "texts"
                raise InputError(
                    f"{path}: the column {original!r} holds values of type {kind}, not {takes}"
                )
        simple = [
            name
            for name, field in zip(names, file.schema, strict=True)
            if _is_text(field.type) or _is_number(field.type) or pa.types.is_boolean(field.type)
        ]
        table = file.table(simple, MAX_ROWS, MAX_BYTES)
    with parquet_errors(path):
        frame = table.select(simple).replace_schema_metadata(None).to_pandas()
    frame.columns = [called[name] for name in simple]
    return frame


def _fits(name: str, kind: pa.DataType) -> bool:
    if pa.types.is_null(kind) or _is_text(kind):
        return True
    return name in _NUMBERS and _is_number(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
