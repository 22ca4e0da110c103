"""Downloads: everything that the site shows, as CSV and JSON.

Texts were written by strangers, and CSV files are opened in spreadsheets: a quote is put before
what a spreadsheet would run as a formula. JSON holds the texts unchanged.
"""

from __future__ import annotations

import bz2
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.board import Board
from leaderboard.neuron_tables import MethodNeurons, NeuronTable
from milannotations.record import NeuronKey
from milannotations.untrusted_text import as_cell

MAX_IN_JSON = 300_000  # descriptions; with more of them, only the CSV files hold them
DECIMALS = 4  # of a neuron's value; results hold it in full
_METHOD = ("method", "title", "kind")
_FIELDS = ("value", "low", "high", "n")


def write_downloads(folder: Path, board: Board, tables: Sequence[NeuronTable]) -> bool:
    """Write ``board.csv``, ``board.json``, and ``<method>.csv.bz2`` and ``.json.bz2`` for each.

    Args:
        folder: The folder to write them to; created if it does not exist.
        board: The board.
        tables: The neurons of its splits.

    Returns:
        Whether the methods' JSON files were written as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "board.csv").write_text(_csv(board_rows(board)), encoding="utf-8", newline="")
    whole = {
        "columns": [
            {**column.key._asdict(), "variant": column.variant, **column.metric.model_dump()}
            for column in board.columns
        ],
        "rows": [
            {"rank": row.rank, "result": row.result.model_dump(mode="json")} for row in board.rows
        ],
    }
    text = json.dumps(whole, indent=1, allow_nan=False)
    (folder / "board.json").write_text(text + "\n", encoding="utf-8")
    methods = [method for table in tables for method in table.methods if method is not None]
    described = sum(text is not None for method in methods for text in method.texts)
    metrics = list(dict.fromkeys(metric for table in tables for metric in table.metrics))
    header = ("split", *NeuronKey._fields, "description", *metrics)
    for at, row in enumerate(board.rows):
        path = folder / row.method.name
        rows = (
            (*neuron, *(scores.get(m) for m in metrics))
            for neuron, scores in _described(at, tables)
        )
        _write(path.with_suffix(".csv.bz2"), _csv([header, *rows]))
        if described <= MAX_IN_JSON:
            neurons = [
                {**dict(zip(header, neuron, strict=False)), "scores": scores}
                for neuron, scores in _described(at, tables)
            ]
            plain = json.dumps(neurons, allow_nan=False, separators=(",", ":"))
            _write(path.with_suffix(".json.bz2"), plain)
    return described <= MAX_IN_JSON


def _write(path: Path, text: str) -> None:
    # A third smaller than gzip for such tables, and pandas, R and desktops open it as well.
    path.write_bytes(bz2.compress(text.encode()))


def board_rows(board: Board) -> Iterator[tuple[Any, ...]]:
    """Yield the names of the columns, then a row for each method, split and metric.

    A method that was refused on a split has rows without numbers there.
    """
    yield (*_METHOD, "rank", "split", "metric", *_FIELDS, "signature", "fingerprint", "refused")
    for row in board.rows:
        refused = row.refused or ("",) * len(board.columns)
        for column, score, reason in zip(board.columns, row.cells, refused, strict=True):
            if score is None and not reason:
                continue
            numbers = [None if score is None else getattr(score, f) for f in _FIELDS]
            split, metric, signature, fingerprint = column.key
            method = (row.method.name, row.method.title, row.method.kind)
            yield (*method, row.rank, split, metric, *numbers, signature, fingerprint, reason)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [as_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return out.getvalue()


def _described(
    row: int, tables: Sequence[NeuronTable]
) -> Iterator[tuple[tuple[Any, ...], dict[str, float | None]]]:
    """Yield the neurons that a method describes, and their values.

    Yields:
        Split, key and description of a neuron; its value of each metric on the split, rounded, or
        None where there is none.
    """
    for table in tables:
        method = table.methods[row]
        if method is None:
            continue
        columns = {metric: _rounded(method, metric) for metric in table.metrics}
        for at, (key, text) in enumerate(zip(table.keys, method.texts, strict=True)):
            if text is not None:
                scores = {metric: values[at] for metric, values in columns.items()}
                yield (table.name, *key, text), scores


def _rounded(method: MethodNeurons, metric: str) -> list[float | None]:
    values = method.values.get(metric)
    if values is None:
        return [None] * len(method.texts)
    return [None if np.isnan(v) else v for v in np.round(values, DECIMALS).tolist()]
