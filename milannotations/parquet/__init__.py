"""Parquet files that may come from anyone, read without memory for what they only claim."""

from milannotations.parquet.reading import (
    OpenParquet,
    check_unpacked,
    open_parquet,
    parquet_errors,
    read_table,
)

__all__ = ["OpenParquet", "check_unpacked", "open_parquet", "parquet_errors", "read_table"]
