"""Opening Parquet files by their footers, and reading them a bounded piece at a time.

A Parquet column stores each text once and then counts its repetitions, so a file of a few kilobytes
can hold gigabytes. Columns are therefore read as dictionaries, their unpacked size is summed, and
only then are they unfolded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from milannotations.errors import InputError
from milannotations.parquet.sizes import plain, row_sizes

Source: TypeAlias = "Path | bytes"

MAX_FOOTER_BYTES = 8 * 2**20  # the footer of 100,000 columns takes 22 MB
MAX_COLUMNS = 1_000
MAX_ROWS = 100_000_000
MAX_GROUP_VALUES = 50_000_000  # of one column in a row group, which is read in one piece
MAX_ROW_BYTES = 512 * 2**20  # of one record, as Python objects
MAX_TABLE_BYTES = 2**30  # of a table that is read whole
_BATCH_BYTES = 64 * 2**20
_VALUE_BYTES = 32  # that a Python object takes in addition to its content
# Limits for a row group and for everything read from a file: a constant, plus a multiple of the
# stored bytes, as records share images.
_GROUP_BYTES, _GROUP_RATIO = 2**30, 16
_FILE_BYTES, _FILE_RATIO = 2**31, 64
_MAGIC, _ENCRYPTED, _END_BYTES = b"PAR1", b"PARE", 8
_LONGEST_REASON = 200
_BYTES = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


class OpenParquet:
    """A Parquet file whose footer has been checked; made by ``open_parquet``.

    Attributes:
        name: Name of the file, for messages.
        metadata: The content of its footer.
        schema: Its columns, with dictionaries unfolded.
        leaves: Parquet's paths of its columns, such as ``images.list.element.bytes``.
    """

    def __init__(self, file: pq.ParquetFile, name: str, file_bytes: int) -> None:
        self._file = file
        self._file_bytes = file_bytes
        self.name = name
        self.metadata: pq.FileMetaData = file.metadata
        self.leaves = [file.schema.column(at).path for at in range(self.metadata.num_columns)]
        self.schema = pa.schema(
            [field.with_type(plain(field.type)) for field in file.schema_arrow],
            metadata=file.schema_arrow.metadata,
        )

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = 256
    ) -> Iterator[pa.RecordBatch]:
        """Yield a few rows at a time, fewer if they are large.

        Args:
            columns: Names of columns, or paths of leaves; default all.
            rows: The greatest number of rows at a time.

        Raises:
            InputError: If a row would take more than 512 MiB, all rows together would take far
                more than the file, or the file is damaged.
        """
        first = total = 0
        limit = _FILE_BYTES + _FILE_RATIO * self._file_bytes
        for batch in self._folded(columns, rows):
            with parquet_errors(self.name):
                sizes = _batch_sizes(batch, _VALUE_BYTES)
                self._check_row(sizes, first)
                total += int(sizes.sum())
                if total > limit:
                    raise InputError(
                        f"{self.name} has {self._file_bytes:,} bytes and would take more than "
                        f"{limit:,} unpacked; it is not trusted"
                    )
                for start, stop in _pieces(sizes):
                    yield _unfolded(batch.slice(start, stop - start))
            first += len(batch)

    def table(
        self,
        columns: Sequence[str] | None = None,
        most_rows: int = MAX_ROWS,
        most_bytes: int = MAX_TABLE_BYTES,
    ) -> pa.Table:
        """Read whole columns.

        Raises:
            InputError: If there are more rows than ``most_rows``, the columns would take more than
                ``most_bytes`` unpacked, or the file is damaged.
        """
        if self.metadata.num_rows > most_rows:
            raise InputError(
                f"{self.name} has {self.metadata.num_rows:,} rows; at most {most_rows:,} are read"
            )
        total, batches = 0, []
        for batch in self._folded(columns, 8_192):
            with parquet_errors(self.name):
                total += int(_batch_sizes(batch).sum())
                if total > most_bytes:
                    raise InputError(
                        f"{self.name} would take more than {most_bytes:,} bytes unpacked; it is "
                        "not read further"
                    )
                batches.append(_unfolded(batch))
        with parquet_errors(self.name):
            if not batches:
                chosen = [n for n in self.schema.names if columns is None or n in columns]
                return pa.schema([self.schema.field(n) for n in chosen]).empty_table()
            metadata = self._file.schema_arrow.metadata
            return pa.Table.from_batches(batches).replace_schema_metadata(metadata)

    def check_unfolded(self) -> None:
        """Raise InputError if a row group would take far more memory than its stored bytes.

        This is for other libraries' readers, which read whole row groups.
        """
        for number in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(number)
            chunks = [group.column(at) for at in range(group.num_columns)]
            stored = sum(chunk.total_compressed_size for chunk in chunks)
            limit = _GROUP_BYTES + _GROUP_RATIO * stored
            if sum(_most_bytes(chunk) for chunk in chunks) <= limit:
                continue
            total = 0
            for batch in self._folded(None, 1_024, [number]):
                with parquet_errors(self.name):
                    total += int(_batch_sizes(batch).sum())
                if total > limit:
                    raise InputError(
                        f"{self.name}: row group {number + 1} has {stored:,} bytes and would take "
                        f"more than {limit:,} unpacked; it is not trusted"
                    )

    def _folded(
        self, columns: Sequence[str] | None, rows: int, groups: list[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches with dictionaries, not yet unfolded."""
        with parquet_errors(self.name):
            for batch in self._file.iter_batches(rows, row_groups=groups, columns=columns):
                batch.validate(full=True)
                yield batch

    def _check_row(self, sizes: np.ndarray, first: int) -> None:
        if len(sizes) and sizes.max() > MAX_ROW_BYTES:
            raise InputError(
                f"{self.name}: row {first + int(sizes.argmax()) + 1} would take "
                f"{int(sizes.max()):,} bytes unpacked; at most {MAX_ROW_BYTES:,} are read"
            )


@contextmanager
def open_parquet(source: Source, name: str | None = None) -> Iterator[OpenParquet]:
    """Open a Parquet file in a ``with`` block, after checking its footer.

    Args:
        source: A file, or its content.
        name: Name for messages; default the file's path.

    Raises:
        InputError: If it is missing, damaged or encrypted, or has too many columns, rows, or values
            in a row group; names the file.
    """
    shown = name or str(source)
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{shown} does not exist, or is no file; name a Parquet file")
    size = _check_ends(source, shown)
    with parquet_errors(shown):
        with _opened(source) as file:
            _check_footer(file.metadata, shown)
            columns = [file.schema.column(at) for at in range(file.metadata.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        file = _opened(source, texts)
    try:
        with parquet_errors(shown):
            opened = OpenParquet(file, shown, size)
        yield opened  # errors raised in the block are not the file's
    finally:
        file.close()


def read_table(
    source: Source,
    columns: Sequence[str] | None = None,
    most_rows: int = MAX_ROWS,
    most_bytes: int = MAX_TABLE_BYTES,
    name: str | None = None,
) -> pa.Table:
    """Read a whole table.

    Raises:
        InputError: See ``open_parquet`` and ``OpenParquet.table``.
    """
    with open_parquet(source, name) as file:
        return file.table(columns, most_rows, most_bytes)


def check_unpacked(paths: Sequence[Path]) -> None:
    """Raise InputError if a file cannot be opened or would unpack to far more than its size."""
    for path in paths:
        with open_parquet(path) as file:
            file.check_unfolded()


@contextmanager
def parquet_errors(name: str | Path) -> Iterator[None]:
    """Turn what Arrow raises for damaged files into an error that names the file.

    Raises:
        InputError: In place of any of these errors.
    """
    try:
        yield
    except InputError:
        raise
    except (
        pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError,
        MemoryError, RuntimeError,
    ) as error:  # fmt: skip
        detail = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise InputError(f"{name} cannot be read as a Parquet table: {detail}") from error


def _opened(source: Source, leaves: Sequence[str] = ()) -> pq.ParquetFile:
    # Pre-buffering would eventually hold everything that has been read.
    return pq.ParquetFile(
        pa.BufferReader(source) if isinstance(source, bytes) else source,
        read_dictionary=list(leaves),
        pre_buffer=False,
    )


def _check_ends(source: Source, name: str) -> int:
    """Return a file's size, or raise InputError unless it begins and ends as Parquet does."""
    if isinstance(source, bytes):
        size, start, end = len(source), source[:4], source[-_END_BYTES:]
    else:
        size = source.stat().st_size
        with source.open("rb") as file:
            start = file.read(4)
            file.seek(max(0, size - _END_BYTES))
            end = file.read()
    if _ENCRYPTED in (start, end[4:]):
        raise InputError(f"{name} is an encrypted Parquet file; save it without encryption")
    if start != _MAGIC or end[4:] != _MAGIC or size < len(_MAGIC) + _END_BYTES:
        raise InputError(
            f"{name} is no complete Parquet file; if it was downloaded, download it again"
        )
    (footer,) = struct.unpack("<I", end[:4])
    if footer > MAX_FOOTER_BYTES:
        raise InputError(
            f"{name} has a footer of {footer:,} bytes; at most {MAX_FOOTER_BYTES:,} are read"
        )
    return size


def _check_footer(metadata: pq.FileMetaData, name: str) -> None:
    if metadata.num_columns > MAX_COLUMNS:
        raise InputError(
            f"{name} has {metadata.num_columns:,} columns; at most {MAX_COLUMNS:,} are read"
        )
    if not 0 <= metadata.num_rows <= MAX_ROWS:
        raise InputError(f"{name} has {metadata.num_rows:,} rows; at most {MAX_ROWS:,} are read")
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        total += group.num_rows
        for at in range(group.num_columns):
            values = group.column(at).num_values
            if not 0 <= values <= MAX_GROUP_VALUES:
                raise InputError(
                    f"{name}: row group {number + 1} has {values:,} values in one column; at most "
                    f"{MAX_GROUP_VALUES:,} are read"
                )
    if total != metadata.num_rows:
        raise InputError(
            f"{name} says that it has {metadata.num_rows:,} rows, but its row groups have "
            f"{total:,}; it is damaged"
        )


def _most_bytes(chunk: Any) -> int:
    """Return the most bytes that a column of a row group can take according to the footer."""
    if "DICTIONARY" not in "".join(chunk.encodings) and chunk.physical_type in _BYTES:
        return int(chunk.total_uncompressed_size + 8 * chunk.num_values)
    width = chunk.total_uncompressed_size if chunk.physical_type in _BYTES else 8
    return int(chunk.num_values * width)


def _batch_sizes(batch: pa.RecordBatch, overhead: int = 0) -> np.ndarray:
    parts = [row_sizes(column, overhead) for column in batch.columns]
    return np.sum([np.zeros(len(batch), np.int64), *parts], axis=0)


def _pieces(sizes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Split rows into pieces of at most ``_BATCH_BYTES``, or of one row."""
    start, total = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if row > start and total + size > _BATCH_BYTES:
            yield start, row
            start, total = row, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def _unfolded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without dictionaries."""
    fields = [field.with_type(plain(field.type)) for field in batch.schema]
    if all(
        field.type == unfolded.type for field, unfolded in zip(fields, batch.schema, strict=True)
    ):
        return batch
    columns = [column.cast(field.type) for column, field in zip(batch.columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
