"""Downloads: all that the site shows, as CSV and JSON.

Texts were written by strangers and CSVs are opened in spreadsheets: what one would run as a formula
gets a quote before it. JSON has texts as they are.
"""

from __future__ import annotations

import bz2
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.board import Board, LoadedResult
from leaderboard.tables import SplitTable
from milannotations.untrusted_text import as_cell

MAX_IN_JSON = 300_000  # descriptions; with more, only the CSVs hold every neuron's
DECIMALS = 4  # of a neuron's value; results have all of them
_FIELDS = ("value", "low", "high", "n")


def write_downloads(
    folder: Path, board: Board, results: Sequence[LoadedResult], tables: Sequence[SplitTable]
) -> bool:
    """Write ``board.csv``, ``board.json``, and ``<method>.csv.bz2`` and ``.json.bz2`` for each.

    Args:
        folder: Where they go; it is made.
        board: The board.
        results: What it was built from.
        tables: Its splits.

    Returns:
        Whether the JSONs of the methods were written too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {loaded.method.name: loaded.result for loaded in results}
    (folder / "board.csv").write_text(_board_csv(board), encoding="utf-8", newline="")
    described = sum(
        sum(text is not None for text in texts)
        for table in tables
        for texts in table.texts
        if texts is not None
    )
    whole = {
        "columns": [
            {**column.key._asdict(), "variant": column.variant, **column.metric.model_dump()}
            for column in board.columns
        ],
        "rows": [
            {"rank": row.rank, "result": by_name[row.method.name].model_dump(mode="json")}
            for row in board.rows
        ],
    }
    text = json.dumps(whole, indent=1, allow_nan=False)
    (folder / "board.json").write_text(text + "\n", encoding="utf-8")
    with_json = described <= MAX_IN_JSON
    for at, row in enumerate(board.rows):
        name = row.method.name
        _write(folder / f"{name}.csv.bz2", _method_csv(at, tables))
        if with_json:
            plain = json.dumps(_method_json(at, tables), allow_nan=False, separators=(",", ":"))
            _write(folder / f"{name}.json.bz2", plain)
    return with_json


def _write(path: Path, text: str) -> None:
    # A third smaller than gzip makes such tables, and pandas, R and desktops open it as well.
    path.write_bytes(bz2.compress(text.encode()))


def board_rows(board: Board) -> Iterator[tuple[Any, ...]]:
    """Yield the names of the columns, and then a row for each method, split and metric.

    Methods that were refused there have a row without numbers.
    """
    yield (
        "method", "title", "kind", "rank", "split", "metric", *_FIELDS, "signature", "fingerprint",
        "refused",
    )  # fmt: skip
    for row in board.rows:
        refused = row.refused or ("",) * len(board.columns)
        for column, score, reason in zip(board.columns, row.cells, refused, strict=True):
            if score is None and not reason:
                continue
            numbers = [None] * 4 if score is None else [getattr(score, f) for f in _FIELDS]
            yield (
                row.method.name, row.method.title, row.method.kind, row.rank,
                column.key.split, column.key.metric, *numbers, column.key.signature,
                column.key.fingerprint, reason,
            )  # fmt: skip


def _board_csv(board: Board) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [as_cell(cell) if isinstance(cell, str) else cell for cell in row]
        for row in board_rows(board)
    )
    return out.getvalue()


def _metrics(tables: Sequence[SplitTable]) -> list[str]:
    return list(dict.fromkeys(metric for table in tables for metric in table.values))


def _method_csv(at: int, tables: Sequence[SplitTable]) -> str:
    metrics = _metrics(tables)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(
        ("split", "model", "dataset", "layer", "unit", "description", *map(as_cell, metrics))
    )
    for table in tables:
        texts = table.texts[at]
        if texts is None:
            continue
        columns = [_rounded(table, metric, at) for metric in metrics]
        cells = {name: as_cell(name) for group in table.groups for name in group[:3]}
        split = as_cell(table.name)
        writer.writerows(
            (split, cells[key.model], cells[key.dataset], cells[key.layer], key.unit,
             as_cell(text), *values)
            for key, text, *values in zip(table.keys, texts, *columns, strict=True)
            if text is not None
        )  # fmt: skip
    return out.getvalue()


def _method_json(at: int, tables: Sequence[SplitTable]) -> list[dict[str, Any]]:
    rows = []
    for table in tables:
        texts = table.texts[at]
        if texts is None:
            continue
        columns = [_rounded(table, metric, at) for metric in table.values]
        for key, text, *values in zip(table.keys, texts, *columns, strict=True):
            if text is not None:
                scores = dict(zip(table.values, values, strict=True))
                rows.append(
                    {"split": table.name, **key._asdict(), "description": text, "scores": scores}
                )
    return rows


def _rounded(table: SplitTable, metric: str, at: int) -> list[float | None]:
    """Return a method's values, rounded; None where it has none."""
    values = table.values.get(metric, [None] * len(table.texts))[at]
    if values is None:
        return [None] * len(table.keys)
    return [None if np.isnan(v) else v for v in np.round(values, DECIMALS).tolist()]
