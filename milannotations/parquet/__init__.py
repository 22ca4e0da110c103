"""Reads untrusted Parquet files without taking memory for what they merely claim to hold."""

from milannotations.parquet.reading import (
    OpenParquet,
    check_unpacked,
    open_parquet,
    parquet_errors,
    read_table,
)

__all__ = ["OpenParquet", "check_unpacked", "open_parquet", "parquet_errors", "read_table"]
