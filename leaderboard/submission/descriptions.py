"""Reading the table of descriptions: one text per neuron, and every fault with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from leaderboard.submission.problems import Problems
from leaderboard.submission.texts import fault_of, is_blank
from milannotations.annotations import fitting_keys, index_of
from milannotations.errors import InputError, did_you_mean
from milannotations.numerals import count_of
from milannotations.parquet import OpenParquet, open_parquet
from milannotations.record import NeuronKey
from milannotations.rows import Scan
from milannotations.tables import TableError, canonical, decode

COLUMNS = ("model", "dataset", "layer", "unit", "description")
# May be missing where layer and unit identify a neuron.
OPTIONAL = frozenset({"model", "dataset"})
SPLIT = "split"
# Further columns that `milannotations describe` writes; they are allowed and ignored.
IGNORED = ("score", "alternatives")
MAX_ROWS = 1_000_000
MAX_CELL = 16_384  # bytes of one text in a Parquet file
MAX_UNPACKED = 512 * 2**20  # bytes of a Parquet file's uncompressed columns


class DescriptionRow(NamedTuple):
    """One row as written; ``split``, ``model`` and ``dataset`` may be empty.

    >>> problems = Problems()
    >>> rows = read_rows(b"layer,unit,description\\nconv1,3,a dog\\n", "descriptions.csv", problems)
    >>> [(row.line, row.unit, row.description) for row in rows]
    [(2, '3', 'a dog')]
    """

    line: int
    split: str
    model: str
    dataset: str
    layer: str
    unit: str
    description: str


def read_rows(data: bytes, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    """Yield the rows of a table.

    Args:
        data: Content of the file: Parquet if its name says so, otherwise a text table (see
            ``milannotations.tables``).
        name: Name of the file.
        problems: Collects what is wrong with the file or a row; such rows are skipped.
    """
    yield from (_parquet if name.endswith(".parquet") else _csv)(data, name, problems)


def place_rows(
    rows: Iterator[DescriptionRow],
    keys: Mapping[str, Sequence[NeuronKey]],
    name: str,
    problems: Problems,
) -> dict[str, list[str]]:
    """Match descriptions to neurons.

    Args:
        rows: The rows of the table.
        keys: The neurons of each chosen split.
        name: Name of the file.
        problems: Collects every row that cannot be used, and every neuron without a description.

    Returns:
        One description per neuron of each split; empty where there is none.
    """
    matcher = _NeuronMatcher(keys)
    texts: dict[str, dict[NeuronKey, str]] = {split: {} for split in keys}
    lines: dict[tuple[str, NeuronKey], int] = {}
    for row in rows:
        try:
            split, key = matcher.match(row)
            if (split, key) in lines:
                raise _RowError(
                    "duplicates", f"{_label(key)} again, after line {lines[split, key]}"
                )
        except _RowError as error:
            problems.add(name, row.line, error.kind, str(error))
            continue
        lines[split, key] = row.line
        texts[split][key] = row.description
        fault = fault_of(row.description)
        if is_blank(row.description):
            why = f": it {fault}" if fault else ""
            problems.add(name, row.line, "blank", f"the description of {_label(key)} is blank{why}")
        elif fault:
            problems.add(name, row.line, "texts", f"the description of {_label(key)} {fault}")
    for split, members in keys.items():
        missing = [key for key in members if key not in texts[split]]
        if missing:
            examples = "; ".join(map(_label, missing[:3]))
            message = (
                f"{len(missing):,} of {len(members):,} neurons of split {split} are not described: "
                f"{examples}{', …' if len(missing) > 3 else ''}"
            )
            problems.add(name, None, "coverage", message)
    return {s: [texts[s].get(key, "") for key in members] for s, members in keys.items()}


class _RowError(Exception):
    """A row that cannot be matched to a neuron."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _NeuronMatcher:
    """Finds the neuron that a row describes among those of the chosen splits."""

    def __init__(self, keys: Mapping[str, Sequence[NeuronKey]]) -> None:
        self._splits = list(keys)
        self._splits_of: dict[NeuronKey, list[str]] = {}
        for split, members in keys.items():
            for key in members:
                self._splits_of.setdefault(key, []).append(split)
        self._index = index_of(self._splits_of)
        self._layers = {(key.model, key.dataset, key.layer) for key in self._splits_of}

    def match(self, row: DescriptionRow) -> tuple[str, NeuronKey]:
        """Return the split and key of the neuron.

        Raises:
            _RowError: If no neuron, or more than one, matches.
        """
        unit = count_of(row.unit)
        if unit is None:
            raise _RowError("units", f"unit {row.unit[:40]!r} is not a number")
        if row.split and row.split not in self._splits:
            raise _RowError(
                "splits",
                f"split {row.split!r} is none of this submission's ({', '.join(self._splits)})",
            )
        named = NeuronKey(row.model.strip(), row.dataset.strip(), row.layer.strip(), unit)
        matches = [
            key
            for key in fitting_keys(named, self._index)
            if not row.split or row.split in self._splits_of[key]
        ]
        if len(matches) > 1:
            raise _RowError(
                "columns",
                f"{named.layer}:{named.unit} is that of {' or '.join(map(_label, matches[:3]))}: "
                "add the columns model and dataset",
            )
        if not matches:
            raise _RowError("unknown neurons", self._unknown(named))
        key = matches[0]
        splits = [row.split] if row.split else self._splits_of[key]
        if len(splits) > 1:
            raise _RowError(
                "splits", f"{_label(key)} is in the splits {', '.join(splits)}: add a column split"
            )
        return splits[0], key

    def _unknown(self, key: NeuronKey) -> str:
        if key[:3] in self._layers:
            return f"no neuron {_label(key)}: the layer has no such unit on this board"
        labels = {f"{model}/{dataset} {layer}" for model, dataset, layer in self._layers}
        hint = did_you_mean(f"{key.model}/{key.dataset} {key.layer}", labels)
        return f"no neuron {_label(key)}{hint or ' on this board'}"


def _label(key: NeuronKey) -> str:
    return f"{key.model}/{key.dataset} {key.layer}:{key.unit}"


def _header(
    header: Sequence[str], name: str, problems: Problems, line: int = 1
) -> list[int] | None:
    """Return the index of ``SPLIT`` and of each of ``COLUMNS``, -1 for a missing one."""
    before = problems.total
    expected = (SPLIT, *COLUMNS)
    for column in COLUMNS:
        if column not in header and column not in OPTIONAL:
            hint = did_you_mean(column, [c for c in header if c not in expected])
            problems.add(name, line, "columns", f"there is no column {column!r}{hint}")
    for column in header:
        if column not in expected and column.casefold() not in IGNORED:
            hint = did_you_mean(column[:60], expected)
            message = f"the column {column[:60]!r} is not read{hint}; remove it"
            problems.add(name, line, "columns", message)
    for column in expected:
        if list(header).count(column) > 1:
            problems.add(name, line, "columns", f"there are two columns {column!r}")
    if problems.total > before:
        return None
    return [header.index(c) if c in header else -1 for c in expected]


def _csv(data: bytes, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    try:
        scan = Scan(decode(data), COLUMNS)
    except TableError as error:
        problems.add(name, error.line, "encoding", str(error))
        return
    if not scan.header:
        problems.add(name, None, "rows", "empty")
        return
    indices = _header(scan.header, name, problems, scan.header_line)
    if indices is None:
        return
    try:
        for count, line in enumerate(scan, 1):
            if count > MAX_ROWS:
                problems.add(name, line.number, "rows", f"more than {MAX_ROWS:,} rows")
                return
            if line.fault:
                problems.add(name, line.number, "cells", line.fault)
                continue
            yield DescriptionRow(line.number, *("" if at < 0 else line.cells[at] for at in indices))
    except TableError as error:
        problems.add(name, error.line, "CSV", f"not a CSV: {error}")


def _parquet(data: bytes, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    try:
        with open_parquet(data, name) as file:
            yield from _rows_of(file, name, problems)
    except InputError as error:
        problems.add(name, None, "Parquet", str(error).removeprefix(f"{name} "))


def _rows_of(file: OpenParquet, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    metadata = file.metadata
    unpacked = sum(
        metadata.row_group(g).column(c).total_uncompressed_size
        for g in range(metadata.num_row_groups)
        for c in range(metadata.row_group(g).num_columns)
    )
    if metadata.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED:
        problems.add(
            name,
            None,
            "rows",
            f"{metadata.num_rows:,} rows of {unpacked:,} bytes; at most {MAX_ROWS:,} rows of "
            f"{MAX_UNPACKED:,} bytes are read",
        )
        return
    written = file.schema.names
    indices = _header(canonical(written, COLUMNS), name, problems)
    if indices is None:
        return
    # The file's own name of each column.
    own_names = {
        c: written[at] for c, at in zip((SPLIT, *COLUMNS), indices, strict=True) if at >= 0
    }
    for column, original in own_names.items():
        dtype = file.schema.field(original).type
        number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
        if not _is_text(dtype) and not (column == "unit" and number):
            problems.add(name, None, "columns", f"the column {column!r} has the type {dtype}")
    if problems:
        return
    row = 0
    for batch in file.batches(list(own_names.values()), 4096):
        longest = max(
            pc.max(pc.binary_length(column)).as_py() or 0
            for column in batch.columns
            if _is_text(column.type)
        )
        if longest > MAX_CELL:
            problems.add(
                name,
                row + 1,
                "texts",
                f"a cell of {longest:,} bytes; at most {MAX_CELL:,} are read",
            )
            return
        columns = {c: batch.column(original).to_pylist() for c, original in own_names.items()}
        for at in range(batch.num_rows):
            row += 1
            cells = [columns[c][at] if c in columns else "" for c in (SPLIT, *COLUMNS)]
            if any(cell is None for cell in cells):
                problems.add(name, row, "cells", "a cell is null")
                continue
            yield DescriptionRow(row, *map(str, cells))


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))
