"""The table of descriptions: from bytes to one text per neuron, with every fault and its line."""

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
# May be left out where layer and unit say which neuron is meant.
OPTIONAL = frozenset({"model", "dataset"})
SPLIT = "split"
# Columns that `milannotations describe` writes beside these: taken, and not read.
IGNORED = ("score", "alternatives")
MAX_ROWS = 1_000_000
MAX_CELL = 16_384  # bytes of one text of a Parquet file
MAX_UNPACKED = 512 * 2**20  # bytes of a Parquet file's columns


class DescriptionRow(NamedTuple):
    """One row as it was written; ``split``, ``model`` and ``dataset`` may be empty."""

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
        data: The file, Parquet by its name, or else a table of text (see
            ``milannotations.tables``).
        name: Its name.
        problems: Gets what is wrong with the file or a row; such rows are left out.
    """
    yield from (_parquet if name.endswith(".parquet") else _csv)(data, name, problems)


def place_rows(
    rows: Iterator[DescriptionRow],
    keys: Mapping[str, Sequence[NeuronKey]],
    name: str,
    problems: Problems,
) -> dict[str, list[str]]:
    """Put each description to its neuron.

    Args:
        rows: What was read.
        keys: The neurons of each chosen split.
        name: Name of the file.
        problems: Gets every row that cannot be used, and every neuron that has no description.

    Returns:
        For each split one description per neuron; empty where there is none.
    """
    found: dict[str, dict[NeuronKey, str]] = {split: {} for split in keys}
    first: dict[tuple[str, NeuronKey], int] = {}
    of_key: dict[NeuronKey, list[str]] = {}
    for split, members in keys.items():
        for key in members:
            of_key.setdefault(key, []).append(split)
    index = index_of(of_key)
    layers = {(key.model, key.dataset, key.layer) for key in of_key}
    for row in rows:
        unit = count_of(row.unit)
        if unit is None:
            problems.add(name, row.line, "units", f"unit {row.unit[:40]!r} is not a number")
            continue
        if row.split and row.split not in keys:
            problems.add(
                name,
                row.line,
                "splits",
                f"split {row.split!r} is none of this submission's ({', '.join(keys)})",
            )
            continue
        asked = NeuronKey(row.model.strip(), row.dataset.strip(), row.layer.strip(), unit)
        fitting = [
            key for key in fitting_keys(asked, index) if not row.split or row.split in of_key[key]
        ]
        if len(fitting) > 1:
            problems.add(
                name,
                row.line,
                "columns",
                f"{asked.layer}:{asked.unit} is that of {' or '.join(map(_said, fitting[:3]))}: "
                "add the columns model and dataset",
            )
            continue
        if not fitting:
            problems.add(name, row.line, "unknown neurons", _unknown(asked, layers))
            continue
        key = fitting[0]
        splits = [row.split] if row.split else of_key[key]
        if len(splits) > 1:
            problems.add(
                name,
                row.line,
                "splits",
                f"{_said(key)} is in the splits {', '.join(splits)}: add a column split",
            )
            continue
        if (splits[0], key) in first:
            problems.add(
                name,
                row.line,
                "duplicates",
                f"{_said(key)} again, after line {first[splits[0], key]}",
            )
            continue
        first[splits[0], key] = row.line
        found[splits[0]][key] = row.description
        fault = fault_of(row.description)
        if is_blank(row.description):
            why = f": it {fault}" if fault else ""
            problems.add(name, row.line, "blank", f"the description of {_said(key)} is blank{why}")
        elif fault:
            problems.add(name, row.line, "texts", f"the description of {_said(key)} {fault}")
    for split, members in keys.items():
        lacking = [key for key in members if key not in found[split]]
        if lacking:
            examples = "; ".join(map(_said, lacking[:3]))
            problems.add(
                name,
                None,
                "coverage",
                f"{len(lacking):,} of {len(members):,} neurons of split {split} are not described: "
                f"{examples}{', …' if len(lacking) > 3 else ''}",
            )
    return {s: [found[s].get(key, "") for key in members] for s, members in keys.items()}


def _said(key: NeuronKey) -> str:
    return f"{key.model}/{key.dataset} {key.layer}:{key.unit}"


def _unknown(key: NeuronKey, layers: set[tuple[str, str, str]]) -> str:
    if key[:3] in layers:
        return f"no neuron {_said(key)}: the layer has no such unit on this board"
    labels = {f"{model}/{dataset} {layer}" for model, dataset, layer in layers}
    hint = did_you_mean(f"{key.model}/{key.dataset} {key.layer}", labels)
    return f"no neuron {_said(key)}{hint or ' on this board'}"


def _header(
    header: Sequence[str], name: str, problems: Problems, line: int = 1
) -> list[int] | None:
    """Return the place of split and of each column, -1 where there is none."""
    before = problems.total
    known = (SPLIT, *COLUMNS)
    for column in COLUMNS:
        if column not in header and column not in OPTIONAL:
            hint = did_you_mean(column, [c for c in header if c not in known])
            problems.add(name, line, "columns", f"there is no column {column!r}{hint}")
    for column in header:
        if column not in known and column.casefold() not in IGNORED:
            problems.add(
                name,
                line,
                "columns",
                f"the column {column[:60]!r} is not read{did_you_mean(column[:60], known)}; take "
                "it out",
            )
    for column in known:
        if list(header).count(column) > 1:
            problems.add(name, line, "columns", f"there are two columns {column!r}")
    if problems.total > before:
        return None
    return [header.index(c) if c in header else -1 for c in known]


def _csv(data: bytes, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    try:
        scan = Scan(decode(data), COLUMNS)
    except TableError as error:
        problems.add(name, error.line, "encoding", str(error))
        return
    if not scan.header:
        problems.add(name, None, "rows", "empty")
        return
    places = _header(scan.header, name, problems, scan.header_line)
    if places is None:
        return
    try:
        for count, line in enumerate(scan, 1):
            if count > MAX_ROWS:
                problems.add(name, line.number, "rows", f"more than {MAX_ROWS:,} rows")
                return
            if line.fault:
                problems.add(name, line.number, "cells", line.fault)
                continue
            yield DescriptionRow(line.number, *("" if at < 0 else line.cells[at] for at in places))
    except TableError as error:
        problems.add(name, error.line, "CSV", f"not a CSV: {error}")


def _parquet(data: bytes, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    try:
        with open_parquet(data, name) as file:
            yield from _rows_of(file, name, problems)
    except InputError as error:
        problems.add(name, None, "Parquet", str(error).removeprefix(f"{name} "))


def _rows_of(file: OpenParquet, name: str, problems: Problems) -> Iterator[DescriptionRow]:
    described = file.metadata
    unpacked = sum(
        described.row_group(g).column(c).total_uncompressed_size
        for g in range(described.num_row_groups)
        for c in range(described.row_group(g).num_columns)
    )
    if described.num_rows > MAX_ROWS or unpacked > MAX_UNPACKED:
        problems.add(
            name,
            None,
            "rows",
            f"{described.num_rows:,} rows of {unpacked:,} bytes; at most {MAX_ROWS:,} rows of "
            f"{MAX_UNPACKED:,} bytes are read",
        )
        return
    written = file.schema.names
    places = _header(canonical(written, COLUMNS), name, problems)
    if places is None:
        return
    # What the file calls each column.
    called = {c: written[at] for c, at in zip((SPLIT, *COLUMNS), places, strict=True) if at >= 0}
    for column, original in called.items():
        of = file.schema.field(original).type
        good = pa.types.is_string(of) or pa.types.is_large_string(of)
        number = pa.types.is_integer(of) or pa.types.is_floating(of)
        if not good and not (column == "unit" and number):
            problems.add(name, None, "columns", f"the column {column!r} has the type {of}")
    if problems:
        return
    row = 0
    for batch in file.batches(list(called.values()), 4096):
        longest = max(
            pc.max(pc.binary_length(column)).as_py() or 0
            for column in batch.columns
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        )
        if longest > MAX_CELL:
            problems.add(
                name,
                row + 1,
                "texts",
                f"a cell of {longest:,} bytes; at most {MAX_CELL:,} are read",
            )
            return
        columns = {c: batch.column(original).to_pylist() for c, original in called.items()}
        for at in range(batch.num_rows):
            row += 1
            cells = [columns[c][at] if c in columns else "" for c in (SPLIT, *COLUMNS)]
            if any(cell is None for cell in cells):
                problems.add(name, row, "cells", "a cell is null")
                continue
            yield DescriptionRow(row, *map(str, cells))
