"""Everything that is known of the neurons of a split, in one order, for pages and downloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from datasets import Dataset

from benchmark.metrics.base import Floats
from leaderboard.board import Board, LoadedResult
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of


class Group(NamedTuple):
    """A layer: its neurons stand side by side, from ``start`` to before ``stop``."""

    model: str
    dataset: str
    layer: str
    start: int
    stop: int


@dataclass
class SplitTable:
    """One split; methods are those of the board's rows, in their order.

    Attributes:
        number: Place of the split on the board, by which its files are named.
        name: Its name, which a stranger may have chosen.
        keys: The neurons, those of a layer together.
        groups: The layers.
        references: Of each neuron; empty where its data set was not given.
        rows: Of each neuron its row of the data set, or -1.
        texts: For each method one text per neuron, None where it has none; None for a method that
            is not on this split.
        values: For each metric that can be compared here, likewise one array of shape (neurons,).
    """

    number: int
    name: str
    keys: list[NeuronKey]
    groups: list[Group]
    references: list[tuple[str, ...]]
    rows: list[int]
    texts: list[list[str | None] | None]
    values: dict[str, list[Floats | None]] = field(default_factory=dict)


def split_tables(
    board: Board, results: Sequence[LoadedResult], neurons: Mapping[str, Dataset]
) -> list[SplitTable]:
    """Gather all splits of a board.

    Args:
        board: Says the order of splits and methods, and which values may be compared.
        results: What it was built from.
        neurons: Data sets, by split, for references and pictures.

    Raises:
        InputError: If a per-neuron table holds a unit or a value that is no number.
    """
    by_name = {loaded.method.name: loaded for loaded in results}
    ordered = [by_name[row.method.name] for row in board.rows]
    return [
        _split(number, name, board, ordered, neurons.get(name))
        for number, name in enumerate(board.splits)
    ]


def _split(
    number: int,
    name: str,
    board: Board,
    results: Sequence[LoadedResult],
    dataset: Dataset | None,
) -> SplitTable:
    parts = [_part(loaded, name) for loaded in results]
    seen = dict.fromkeys(key for _, keys in parts for key in keys)
    rows: dict[NeuronKey, int] = {}
    references: list[Sequence[str]] = []
    if dataset is not None:
        rows = {key: row for row, key in enumerate(keys_of(dataset))}
        references = list(dataset["annotations"])
    order = [key for key in rows if key in seen] + [key for key in seen if key not in rows]
    layers: dict[tuple[str, str, str], list[NeuronKey]] = {}
    for key in order:
        layers.setdefault(key[:3], []).append(key)
    keys = [key for members in layers.values() for key in members]
    groups, start = [], 0
    for layer, members in layers.items():
        groups.append(Group(*layer, start, start + len(members)))
        start += len(members)
    table = SplitTable(
        number,
        name,
        keys,
        groups,
        [tuple(references[rows[key]]) if key in rows else () for key in keys],
        [rows.get(key, -1) for key in keys],
        [None] * len(results),
    )
    place = {key: at for at, key in enumerate(keys)}
    metrics = dict.fromkeys(c.key.metric for c in board.columns if c.key.split == name)
    columns = {metric: board.column_of(name, metric) for metric in metrics}
    for metric in metrics:
        table.values[metric] = [None] * len(results)
    for at, (loaded, (part, own)) in enumerate(zip(results, parts, strict=True)):
        if not own:
            continue
        places = np.fromiter((place[key] for key in own), dtype=np.int64, count=len(own))
        said: list[str | None] = [None] * len(keys)
        for to, text in zip(places.tolist(), part["description"].tolist(), strict=True):
            said[to] = text if isinstance(text, str) else ""
        table.texts[at] = said
        for metric, column in columns.items():
            if column is None or board.rows[at].cells[column] is None or metric not in part:
                continue
            values = np.full(len(keys), np.nan)
            values[places] = _numbers(loaded, part[metric])
            table.values[metric][at] = values
    return table


def _part(loaded: LoadedResult, split: str) -> tuple[pd.DataFrame, list[NeuronKey]]:
    part = loaded.per_neuron[loaded.per_neuron["split"] == split]
    units = _numbers(loaded, part["unit"])
    if not np.isfinite(units).all():
        raise InputError(f"{_file(loaded)}: units must be numbers")
    columns = (part[name].astype(str).tolist() for name in ("model", "dataset", "layer"))
    own = list(map(NeuronKey, *columns, units.astype(np.int64).tolist()))
    if len(set(own)) < len(own):
        raise InputError(f"{_file(loaded)}: a neuron occurs twice in the split {split!r}")
    return part, own


def _numbers(loaded: LoadedResult, column: pd.Series) -> Floats:
    try:
        values = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(f"{_file(loaded)}: units and values must be numbers: {error}") from error
    # Beyond any metric's range, differences overflow: such a value is as good as none.
    return np.where(np.abs(values) < 1e100, values, np.nan)


def _file(loaded: LoadedResult) -> str:
    return str(loaded.table_path)
