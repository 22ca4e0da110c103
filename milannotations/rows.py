"""The rows of a text table: one reader for every command, which never guesses a cell.

These are faults with a line number, never values: a row with fewer or more cells than the header, a
quote that is never closed or that swallows the rows after it, a NUL byte, and a byte-order mark in
the middle. Cells are texts, taken literally: ``NA``, ``None`` and ``1e300`` are words.
"""

from __future__ import annotations

import csv
import io
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from milannotations.errors import InputError, did_you_mean
from milannotations.notices import notify
from milannotations.numerals import count_of
from milannotations.reading import check_file, read_bytes, too_large, unreadable
from milannotations.tables import (
    ALIASES,
    MAX_COLUMNS,
    MAX_TABLE_BYTES,
    TableError,
    TableLayout,
    canonical,
    decode,
    is_packed,
    layout_of,
    open_packed,
)

MAX_CELL = 131_072  # characters
# A packed table may unpack to at most this many times its size; fewer bytes are always allowed.
_MAX_RATIO, _SURE = 200, 64 * 2**20
_CHUNK = 1 << 20
_MARK_INSIDE = re.compile("[\r\n]\ufeff")


class TableLine(NamedTuple):
    """A row: the line on which it begins, from 1; its cells; and its fault, if it has one."""

    number: int
    cells: list[str]
    fault: str = ""


class Scan:
    """A table that is being read.

    Args:
        text: The table, without a byte-order mark.
        wanted: Columns to look for; see ``tables.canonical``.

    Attributes:
        layout: How the table is written.
        header: The names of its columns; wanted ones are spelt as in ``wanted``.

    Raises:
        TableError: If the text cannot be a table, or names a wanted column twice.
    """

    def __init__(self, text: str, wanted: Sequence[str]) -> None:
        check_characters(text)
        self._wanted = wanted
        self.layout: TableLayout = layout_of(text, wanted)
        self.header: list[str] = []
        self._lines = _csv_lines(text, self.layout)
        first = next(self._lines, None)
        if first is None:
            return
        self._line, written = first.number, [name.strip() for name in first.cells]
        self.header = canonical(written, wanted)
        self._check_names(written)

    def _check_names(self, written: Sequence[str]) -> None:
        if len(written) > MAX_COLUMNS:
            raise TableError(
                f"it has {len(written):,} columns; at most {MAX_COLUMNS:,} are read", self._line
            )
        # An alias of a wanted column must not occur twice either: only one would be read.
        names = [name.casefold() for name in written]
        for column in self._wanted:
            for name in (column, *ALIASES.get(column, ())):
                if names.count(name) > 1:
                    raise TableError(f"there are two columns {name!r}", self._line)

    @property
    def header_line(self) -> int:
        """The line number of the header."""
        return self._line

    def notices(self) -> list[str]:
        """Return warnings about columns that the table's author may expect to be read otherwise."""
        told = []
        unnamed = self.header.count("")
        if unnamed:
            told.append(f"of its {len(self.header)} columns, {unnamed} without a name is not read")
        for column in self._wanted:
            others = [name for name in self.header if name.casefold() in ALIASES.get(column, ())]
            others = [name for name in others if name.casefold() not in self._wanted]
            if column in self.header and others:
                told.append(f"the column {column!r} is read, and {others[0]!r} is not")
        return told

    def __iter__(self) -> Iterator[TableLine]:
        """Yield the rows after the header; a row that cannot be used has a ``fault``.

        Raises:
            TableError: If the rest cannot be split into rows.
        """
        width, mark = len(self.header), self.layout.delimiter
        unit = self.header.index("unit") if "unit" in self.header else None
        for line in self._lines:
            cells = line.cells
            if width > 1 and not any(cell.strip() for cell in cells):
                continue  # a line of spaces, or of delimiters alone, as spreadsheets leave them
            if len(cells) != width:
                few = (
                    "a cell is missing"
                    if len(cells) < width
                    else (f"a text with the delimiter {mark!r} needs quotes around it")
                )
                yield line._replace(fault=f"{len(cells)} cells, but the header has {width}; {few}")
                continue
            if any(_holds_rows(cell, width, mark, unit) for cell in cells):
                yield line._replace(
                    fault="a quoted text holds what looks like a row of its own; is a quote not "
                    "closed, or not doubled?"
                )
                continue
            yield line


@dataclass(frozen=True)
class Rows:
    """A whole table.

    Attributes:
        header: Names of its columns; wanted ones are spelt as they were asked for.
        lines: The rows, each with as many cells as the header.
        counted: What a row's number counts: ``line`` for text, ``row`` for Parquet.
    """

    header: list[str]
    lines: list[TableLine]
    counted: str = field(default="line")

    def column(self, name: str) -> list[str]:
        """Return the cells of a column; empty texts if the table lacks the column."""
        if name not in self.header:
            return [""] * len(self.lines)
        at = self.header.index(name)
        return [line.cells[at] for line in self.lines]

    def where(self, index: int) -> str:
        """Return the place of a row, such as ``line 7``."""
        return f"{self.counted} {self.lines[index].number}"

    def mappings(self) -> list[dict[str, str]]:
        """Return the rows as dictionaries by column name."""
        return [dict(zip(self.header, line.cells, strict=True)) for line in self.lines]


def read_rows(
    path: Path,
    wanted: Sequence[str],
    needed: Sequence[str] = (),
    stream: IO[bytes] | None = None,
) -> Rows:
    """Read a text table, plain or packed, and warn about what may be read unexpectedly.

    Args:
        path: The file; only its name if ``stream`` is given.
        wanted: Columns to look for.
        needed: Columns that the table must have.
        stream: The content, if it is not a separate file.

    Raises:
        InputError: If the table cannot be read; names the file, the line and what is wrong.
    """
    try:
        scan = Scan(decode(content_of(path, stream)), wanted)
        lines = []
        lacking = [name for name in needed if name not in scan.header]
        if not scan.header:
            raise TableError("it is empty")
        if lacking:
            hint = did_you_mean(lacking[0], scan.header[:100])
            raise InputError(
                f"{path} has no column {lacking[0]!r}{hint} (found: {_some(scan.header)})"
            )
        for line in scan:
            if line.fault:
                raise TableError(line.fault, line.number)
            lines.append(line)
    except TableError as error:
        where = f", line {error.line}" if error.line > 1 else ""
        raise InputError(f"{path}{where} cannot be read as a table: {error}") from error
    for told in scan.notices():
        notify(f"{path}: {told}")
    return Rows(scan.header, lines)


def plain_rows(data: bytes) -> list[TableLine]:
    """Return the rows of a comma-separated table without a header.

    Raises:
        TableError: If it cannot be read.
    """
    text = decode(data)
    check_characters(text)
    return list(_csv_lines(text, TableLayout(",", 0, ())))


def check_characters(text: str) -> None:
    """Refuse characters that do not belong in a text table.

    Raises:
        TableError: If there is one; names the line.
    """
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise TableError("it holds a NUL byte; is it UTF-16, or damaged?", line)
    if match := _MARK_INSIDE.search(text):
        line = text.count("\n", 0, match.start()) + 2
        raise TableError("a byte-order mark in the middle; were files joined?", line)


def content_of(path: Path, stream: IO[bytes] | None = None) -> bytes:
    """Return the unpacked content of a table's file.

    Raises:
        InputError: If it cannot be read, or is too large.
    """
    if stream is not None:
        data = stream.read(MAX_TABLE_BYTES + 1)
        if len(data) > MAX_TABLE_BYTES:
            raise too_large(path, len(data), MAX_TABLE_BYTES)
        return data
    if not is_packed(path):
        return read_bytes(path, MAX_TABLE_BYTES)
    most = min(MAX_TABLE_BYTES, max(_SURE, _MAX_RATIO * check_file(path)))
    pieces: list[bytes] = []
    size = 0
    try:
        with open_packed(path) as file:
            while piece := file.read(_CHUNK):
                size += len(piece)
                if size > most:
                    raise InputError(
                        f"{path} unpacks to more than {most:,} bytes; unpack it, and look at it"
                    )
                pieces.append(piece)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise unreadable(path, error) from error
    return b"".join(pieces)


def _csv_lines(text: str, layout: TableLayout) -> Iterator[TableLine]:
    """Yield every row, beginning with the header, however many cells it has."""
    lines = io.StringIO(text, newline="")
    for _ in range(layout.skip):
        lines.readline()
    reader = csv.reader(lines, strict=True, delimiter=layout.delimiter)
    number = layout.skip + 1
    try:
        for cells in reader:
            start, number = number, layout.skip + reader.line_num + 1
            if cells:
                if max(map(len, cells)) > MAX_CELL:
                    raise csv.Error("field larger than field limit")
                yield TableLine(start, cells)
    except csv.Error as error:
        raise TableError(_explained(str(error)), number) from error


def _holds_rows(cell: str, width: int, mark: str, unit: int | None) -> bool:
    """Say whether a multi-line cell holds a row of the table, as if its quote was never closed."""
    if width < 2 or ("\n" not in cell and "\r" not in cell):
        return False
    for line in io.StringIO(cell, newline=None):
        if line.count(mark) == width - 1:
            cells = line.rstrip("\n").split(mark)
            if unit is None or count_of(cells[unit]) is not None:
                return True
    return False


def _explained(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote is opened here and never closed"
    if "field limit" in error:
        return f"a cell of more than {MAX_CELL:,} characters; is a quote not closed?"
    if "expected after" in error:
        return "a text goes on after its closing quote; double the quotes within a text"
    return f"not a CSV: {error}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:10])
    return f"{shown}, and {len(names) - 10:,} more" if len(names) > 10 else shown
