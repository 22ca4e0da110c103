"""The neurons of each split in one order, with every method's descriptions and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from datasets import Dataset

from benchmark.metrics.base import Floats
from leaderboard.board import Board
from leaderboard.results_folder import LoadedResult
from milannotations.errors import InputError
from milannotations.record import NeuronKey, keys_of


class LayerSlice(NamedTuple):
    """A layer: its neurons stand side by side, from ``start`` to before ``stop``."""

    model: str
    dataset: str
    layer: str
    start: int
    stop: int


@dataclass
class MethodNeurons:
    """What one method says of a split's neurons.

    Attributes:
        texts: One description per neuron; None for neurons that it does not describe.
        values: For each metric that can be compared here and that the method has, an array of shape
            (neurons,); NaN where a neuron has no value.
    """

    texts: list[str | None]
    values: dict[str, Floats] = field(default_factory=dict)


@dataclass
class NeuronTable:
    """The neurons of one split.

    Attributes:
        number: Index of the split on the board, by which its files are named.
        name: Its name, which a stranger may have chosen.
        keys: The neurons, grouped by layer.
        layers: The layers.
        references: References of each neuron; empty where its data set was not given.
        dataset_rows: Row of each neuron in the data set; -1 where it is in none.
        metrics: Metrics that have a column on this split.
        methods: One per row of the board, in its order; None for a method that is not on this
            split.
    """

    number: int
    name: str
    keys: list[NeuronKey]
    layers: list[LayerSlice]
    references: list[tuple[str, ...]]
    dataset_rows: list[int]
    metrics: list[str]
    methods: list[MethodNeurons | None]

    def values(self, row: int, metric: str | None) -> Floats | None:
        """Return the values of the method in a row of the board; None where it has none."""
        method = self.methods[row]
        return None if method is None or metric is None else method.values.get(metric)


def neuron_tables(board: Board, neurons: Mapping[str, Dataset]) -> list[NeuronTable]:
    """Return the neurons of every split of a board.

    Args:
        board: Determines the order of splits and methods, and which values may be compared.
        neurons: Data sets, by split, for references and pictures.

    Raises:
        InputError: If a per-neuron table holds a unit or a value that is not a number, or a neuron
            twice.
    """
    return [
        _table(board, number, name, neurons.get(name)) for number, name in enumerate(board.splits)
    ]


def _table(board: Board, number: int, name: str, dataset: Dataset | None) -> NeuronTable:
    own_tables = [_own_neurons(row.loaded, name) for row in board.rows]
    scored = dict.fromkeys(key for _, keys in own_tables for key in keys)
    dataset_rows: dict[NeuronKey, int] = {}
    references: list[tuple[str, ...]] = []
    if dataset is not None:
        dataset_rows = {key: row for row, key in enumerate(keys_of(dataset))}
        references = [tuple(texts) for texts in dataset["annotations"]]
    order = [key for key in dataset_rows if key in scored]
    keys, layers = _by_layer([*order, *(key for key in scored if key not in dataset_rows)])
    metrics = list(dict.fromkeys(c.key.metric for c in board.columns if c.key.split == name))
    columns = {metric: board.column_of(name, metric) for metric in metrics}
    indices = {key: index for index, key in enumerate(keys)}
    methods: list[MethodNeurons | None] = []
    for row, (own, own_keys) in zip(board.rows, own_tables, strict=True):
        comparable = [
            metric
            for metric, column in columns.items()
            if column is not None and row.cells[column] is not None and metric in own
        ]
        own_indices = [indices[key] for key in own_keys]
        methods.append(
            _method(row.loaded, own, own_indices, len(keys), comparable) if own_keys else None
        )
    return NeuronTable(
        number,
        name,
        keys,
        layers,
        [references[dataset_rows[key]] if key in dataset_rows else () for key in keys],
        [dataset_rows.get(key, -1) for key in keys],
        metrics,
        methods,
    )


def _by_layer(keys: Iterable[NeuronKey]) -> tuple[list[NeuronKey], list[LayerSlice]]:
    """Put the neurons of each layer together; layers keep the order of their first neurons."""
    members: dict[tuple[str, str, str], list[NeuronKey]] = {}
    for key in keys:
        members.setdefault(key[:3], []).append(key)
    ordered: list[NeuronKey] = []
    layers = []
    for layer, neurons in members.items():
        layers.append(LayerSlice(*layer, len(ordered), len(ordered) + len(neurons)))
        ordered += neurons
    return ordered, layers


def _method(
    loaded: LoadedResult, own: pd.DataFrame, indices: list[int], neurons: int, metrics: list[str]
) -> MethodNeurons:
    method = MethodNeurons([None] * neurons)
    for index, text in zip(indices, own["description"].tolist(), strict=True):
        method.texts[index] = text if isinstance(text, str) else ""
    for metric in metrics:
        values = np.full(neurons, np.nan)
        values[indices] = _numbers(loaded, own[metric])
        method.values[metric] = values
    return method


def _own_neurons(loaded: LoadedResult, split: str) -> tuple[pd.DataFrame, list[NeuronKey]]:
    """Return a method's rows of a split, and their neurons."""
    own = loaded.per_neuron[loaded.per_neuron["split"] == split]
    units = _numbers(loaded, own["unit"])
    if not np.isfinite(units).all():
        raise InputError(f"{loaded.table_path}: units must be numbers")
    columns = (own[name].astype(str).tolist() for name in ("model", "dataset", "layer"))
    keys = list(map(NeuronKey, *columns, units.astype(np.int64).tolist()))
    if len(set(keys)) < len(keys):
        raise InputError(f"{loaded.table_path}: a neuron occurs twice in the split {split!r}")
    return own, keys


def _numbers(loaded: LoadedResult, column: pd.Series) -> Floats:
    try:
        values = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{loaded.table_path}: units and values must be numbers: {error}"
        ) from error
    # Beyond any metric's range, differences overflow; such a value counts as missing.
    return np.where(np.abs(values) < 1e100, values, np.nan)
