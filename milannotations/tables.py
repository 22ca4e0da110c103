"""Tables as people make them: one reader of their encoding, delimiter and header.

Spreadsheets write commas, semicolons or tabs, put a byte-order mark or a line ``sep=;`` before the
header, and turn numbers into ``32.0``. Every command that reads a table of words detects these
here; what cannot be read is reported.
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

MAX_TABLE_BYTES = 1_000_000_000
DELIMITERS = (",", ";", "\t")
# Names that stand for a column if its usual name is missing.
ALIASES = {
    "unit": ("neuron",),
    "description": ("summary",),
    "summary": ("description",),
}
MAX_COLUMNS = 1_000
# How files of other kinds begin, in lower case, and the message for each.
_UTF_16 = "it looks like UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)"
_WORKBOOK = "it is a workbook or an archive; save the sheet as CSV UTF-8"
_OTHERS = {
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"pk\x03\x04": _WORKBOOK,
    b"\xd0\xcf\x11\xe0": _WORKBOOK,
    b"\x1f\x8b": "it is packed by gzip; call it .csv.gz",
    b"%pdf-": "it is a PDF",
    b"<!doctype html": "it is a page of a web site, maybe of an error",
    b"<html": "it is a page of a web site, maybe of an error",
    b"version https://git-lfs": "it is a pointer of Git LFS; fetch the file itself",
}
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)
_TEXTS = frozenset({".csv", ".tsv", ".tab", ".txt"})
_WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
# Each opens a file for reading its unpacked bytes.
_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


class TableError(ValueError):
    """A fault of a table as a whole; ``line`` counts from 1."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class TableLayout:
    """How a table is written.

    Attributes:
        delimiter: The character between cells.
        skip: Number of lines before the header.
        header: The columns as ``canonical`` names them; empty if the table is empty.
    """

    delimiter: str
    skip: int
    header: tuple[str, ...]


def is_table(path: Path) -> bool:
    """Say by its name whether a file is a text table.

    Workbooks count as well, so that the reader can refuse them by name.

    >>> is_table(Path("a.CSV")), is_table(Path("a.parquet"))
    (True, False)
    """
    name = path.with_suffix("") if path.suffix.lower() in _OPENERS else path
    return name.suffix.lower() in _TEXTS | _WORKBOOKS


def decode(data: bytes) -> str:
    """Return a table's text, without a byte-order mark.

    Raises:
        TableError: If it is not UTF-8; says which format it seems to have, or where the first
            wrong byte is.
    """
    for beginning, what in _OTHERS.items():
        if data[: len(beginning)].lower() == beginning:
            raise TableError(what)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise TableError(
            f"not UTF-8 (byte {error.start}: 0x{byte:02x}); save it as UTF-8", line
        ) from error


def layout_of(text: str, wanted: Sequence[str]) -> TableLayout:
    """Detect how a table is written, from its beginning.

    The delimiter is the one that finds the most wanted columns in the header, or the one named by a
    line such as ``sep=;``, which Excel writes.

    >>> layout_of("sep=;\\nLayer;Neuron;description\\n", ("layer", "unit", "description"))
    TableLayout(delimiter=';', skip=1, header=('layer', 'unit', 'description'))
    """
    lines: list[str] = []
    skip = 0
    for line in io.StringIO(text, newline=""):  # splits lines as the csv module does
        lines.append(line.rstrip("\r\n"))
        if lines[skip].strip():
            if len(lines) > skip + 1 or not _SEPARATOR.fullmatch(_named(lines[skip])):
                break
        else:
            skip += 1
    if skip == len(lines):
        return TableLayout(DELIMITERS[0], 0, ())
    candidates: Sequence[str] = DELIMITERS
    named = _SEPARATOR.fullmatch(_named(lines[skip]))
    if named:
        candidates, skip = (named[1],), skip + 1
    line = lines[skip] if skip < len(lines) else ""
    headers = {mark: canonical(_cells(line, mark), wanted) for mark in candidates}

    def fit(mark: str) -> tuple[int, int]:
        columns = len(set(wanted) & set(headers[mark]))
        # If no column is known, the delimiter that makes the most cells shows best what is there.
        return columns, 0 if columns else len(headers[mark])

    delimiter = max(candidates, key=fit)
    return TableLayout(delimiter, skip, tuple(headers[delimiter]))


def canonical(header: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return a header in which wanted columns have their usual names.

    Case and surrounding spaces are ignored; an alias stands for a column if the column itself is
    missing (see ``ALIASES``).

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


def is_packed(path: Path) -> bool:
    """Say by its name whether a table is packed."""
    return path.suffix.lower() in _OPENERS


def open_packed(path: Path) -> IO[bytes]:
    """Open a packed table for reading its unpacked bytes."""
    opened: IO[bytes] = _OPENERS[path.suffix.lower()](path)
    return opened


def _named(line: str) -> str:
    """Return a line such as ``sep=;`` without what spreadsheets add to it; strip other lines."""
    inner = line.strip(" ,;\t\r").strip('"')
    return inner if _SEPARATOR.fullmatch(inner) else line.strip(" \r")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
