"""Tables as people make them: one reader of what stands in front of the rows.

Spreadsheets write commas, semicolons or tabs, put a byte-order mark or a line ``sep=;`` before the
header, and turn numbers into ``32.0``. Every command that reads a table of words finds out here
which of these it has; what cannot be read is named.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from milannotations.errors import InputError

MAX_TABLE_BYTES = 1_000_000_000
DELIMITERS = (",", ";", "\t")
# Other names of columns, where the usual one is missing.
ALIASES = {
    "unit": ("neuron",),
    "description": ("summary",),
    "summary": ("description",),
}
_HEAD = 1 << 16  # bytes in which the header is looked for
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.0+)?")
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
_TEXTS = frozenset({".csv", ".tsv", ".tab", ".txt"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
# Each opens a file's bytes, unpacked.
_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


class TableError(ValueError):
    """What is wrong with a table as a whole; ``line`` counts from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Layout:
    """How a table is written.

    Attributes:
        delimiter: What stands between cells.
        skip: Lines before the header.
        header: The columns as ``canonical`` names them; empty where the table is.
    """

    delimiter: str
    skip: int
    header: tuple[str, ...]


def is_table(path: Path) -> bool:
    """Say whether a file is a table of text by its name; workbooks count, so that they are named.

    >>> is_table(Path("a.CSV")), is_table(Path("a.parquet"))
    (True, False)
    """
    return path.suffix.lower() in _TEXTS | _WORKBOOKS


def decode(data: bytes) -> str:
    """Return a table's text, without a byte-order mark.

    Raises:
        TableError: If it is not UTF-8; it says what it seems to be, and where.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError("it looks like UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)")
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise TableError("it is a workbook or an archive; save the sheet as CSV UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise TableError(
            f"not UTF-8 (byte {error.start}: 0x{byte:02x}); save it as UTF-8", line
        ) from error


def layout_of(text: str, wanted: Sequence[str]) -> Layout:
    """Find out how a table is written, from its beginning.

    The delimiter is the one that gives the header most of the wanted columns, or that a line
    ``sep=;`` names, as Excel writes it.

    >>> layout_of("sep=;\\nLayer;Neuron;description\\n", ("layer", "unit", "description"))
    Layout(delimiter=';', skip=1, header=('layer', 'unit', 'description'))
    """
    lines = text.splitlines()
    skip = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if skip == len(lines):
        return Layout(DELIMITERS[0], 0, ())
    candidates: Sequence[str] = DELIMITERS
    named = _SEPARATOR.fullmatch(lines[skip].strip(" ,;\t\r").strip('"') or "")
    named = named or _SEPARATOR.fullmatch(lines[skip].strip(" \r"))
    if named:
        candidates, skip = (named[1],), skip + 1
    line = lines[skip] if skip < len(lines) else ""
    headers = {mark: canonical(_cells(line, mark), wanted) for mark in candidates}

    def fit(mark: str) -> tuple[int, int]:
        columns = len(set(wanted) & set(headers[mark]))
        # Where no column is known, the one that makes most cells shows best what stands there.
        return columns, 0 if columns else len(headers[mark])

    delimiter = max(candidates, key=fit)
    return Layout(delimiter, skip, tuple(headers[delimiter]))


def canonical(header: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return a header in which wanted columns have their usual names.

    Capitals and spaces around a name do not count; another name of a column stands for it where
    the column itself is missing (see ``ALIASES``).

    >>> canonical(["Layer ", "neuron", "summary", "Score"], ["layer", "unit", "description"])
    ['layer', 'unit', 'description', 'Score']
    """
    names = [name.strip() for name in header]
    names = [name.casefold() if name.casefold() in wanted else name for name in names]
    for column in wanted:
        if column not in names:
            others = [name.casefold() for name in names]
            alias = next((a for a in ALIASES.get(column, ()) if a in others), None)
            if alias is not None and alias not in wanted:
                names[others.index(alias)] = column
    return names


def whole_number(text: str) -> int | None:
    """Return a number that counts units, or None if it is not a whole one from 0.

    >>> whole_number("32.0"), whole_number(" 7 "), whole_number("3.7"), whole_number("-1")
    (32, 7, None, None)
    """
    match = _WHOLE.fullmatch(text.strip())
    return int(match[1]) if match else None


def read_layout(path: Path, wanted: Sequence[str], stream: IO[bytes] | None = None) -> Layout:
    """Find out how a file is written; ``stream`` is its content where it is no file of its own.

    Raises:
        InputError: If it is no table of text; it names the file.
    """
    try:
        if stream is not None:
            head = stream.read(_HEAD)
            stream.seek(0)
        else:
            with _OPENERS.get(path.suffix.lower(), _plain)(path) as file:
                head = file.read(_HEAD)
        # The last line may be cut, in the middle of a character too.
        whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]
        return layout_of(decode(whole), wanted)
    except TableError as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error


def read_text(path: Path, wanted: Sequence[str]) -> csv.DictReader[str]:
    """Return the rows of a small table, by the names of its columns.

    Raises:
        InputError: If it cannot be read; it names the file.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; at most 1 GB is read")
        text = decode(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (TableError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    layout = layout_of(text, wanted)
    rows = io.StringIO(text, newline="")
    for _ in range(layout.skip):
        rows.readline()
    reader = csv.DictReader(rows, delimiter=layout.delimiter)
    if reader.fieldnames is not None:
        reader.fieldnames = canonical(reader.fieldnames, wanted)
    return reader


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
