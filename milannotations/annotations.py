"""Tables of words: annotation files, with several rows per neuron, and description files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
from datasets import Dataset

from milannotations.errors import InputError, did_you_mean
from milannotations.record import FEATURES, NeuronKey

MAX_TABLE_BYTES = 1_000_000_000
_UNKNOWN = ""


def read_annotations(path: Path, stream: IO[bytes] | None = None) -> dict[NeuronKey, list[str]]:
    """Read human annotations: the columns layer, unit and summary, any rows per neuron.

    The columns model and dataset are read where they occur and are empty otherwise; other
    columns are ignored. A neuron's annotations keep the order of the file.

    Args:
        path: A CSV, or a Parquet file.
        stream: The CSV itself, where it is no file of its own; ``path`` then only names it.

    Raises:
        InputError: Names the file, the row and the value.
    """
    table = _read_table(path, "summary", stream)
    annotations: dict[NeuronKey, list[str]] = {}
    for key, text in zip(_keys(path, table), table["summary"], strict=True):
        annotations.setdefault(key, []).append(text)
    return annotations


def read_descriptions(path: Path) -> dict[NeuronKey, str]:
    """Read a method's descriptions: the columns layer, unit and description, a row per neuron.

    Raises:
        InputError: Names the file, the line and the value; a neuron described twice is an error.
    """
    table = _read_table(path, "description")
    descriptions: dict[NeuronKey, str] = {}
    lines: dict[NeuronKey, int] = {}
    for row, (key, text) in enumerate(zip(_keys(path, table), table["description"], strict=True)):
        if key in descriptions:
            raise InputError(f"{path}: row {row + 1} describes {key} again, after row {lines[key]}")
        descriptions[key], lines[key] = text, row + 1
    return descriptions


def align(
    annotations: Mapping[NeuronKey, Sequence[str]],
    descriptions: Mapping[NeuronKey, str],
    only_described: bool = False,
) -> list[NeuronKey]:
    """Return the keys, in the annotations' order, of the neurons that can be scored.

    Raises:
        InputError: If a description belongs to no annotated neuron or, unless
            ``only_described``, an annotated neuron has no description. Some are named.
    """
    unknown = [key for key in descriptions if key not in annotations]
    if unknown:
        raise InputError(
            f"{len(unknown)} descriptions belong to no annotated neuron, for example "
            f"{_some(unknown)}; do both files name models, data sets and layers alike?"
        )
    missing = [key for key in annotations if key not in descriptions]
    if missing and not only_described:
        raise InputError(
            f"{len(missing)} of {len(annotations)} annotated neurons have no description, for "
            f"example {_some(missing)}; pass --only-described to score the others alone"
        )
    return [key for key in annotations if key in descriptions]


def to_dataset(
    annotations: Mapping[NeuronKey, Sequence[str]], model: str = "", dataset: str = ""
) -> Dataset:
    """Return annotations as neuron records without exemplars.

    Args:
        annotations: By neuron.
        model: Architecture, where the keys do not name it.
        dataset: Data it was trained on, where the keys do not name it.
    """
    rows = [
        {
            "model": key.model or model,
            "dataset": key.dataset or dataset,
            "layer": key.layer,
            "unit": key.unit,
            "images": [],
            "masks": [],
            "activations": [],
            "image_ids": [],
            "threshold": None,
            "annotations": list(texts),
        }
        for key, texts in annotations.items()
    ]
    return Dataset.from_list(rows, features=FEATURES)


def _read_table(path: Path, text_column: str, stream: IO[bytes] | None = None) -> pd.DataFrame:
    if stream is None:
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; at most 1 GB is read")
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(stream or path)
    except (ValueError, OSError, UnicodeDecodeError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    for column in ("layer", "unit", text_column):
        if column not in table.columns:
            hint = did_you_mean(column, table.columns)
            raise InputError(
                f"{path} has no column {column!r}{hint} (found: {list(table.columns)})"
            )
    if table.empty:
        raise InputError(f"{path} has no rows")
    short = table[["layer", "unit", text_column]].isna().any(axis=1)
    if short.any():
        raise InputError(f"{path}: row {int(short.to_numpy().argmax()) + 1} lacks a value")
    return table.astype(str)


def _read_csv(source: Path | IO[bytes]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A row with more cells than there are columns, such as an unquoted comma makes.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            source,
            dtype=str,
            # Without these two an annotation such as "None" would become a number.
            keep_default_na=False,
            na_values=[],
            encoding="utf-8-sig",
            # A longer row would otherwise silently make its first cell an index.
            index_col=False,
        )


def _keys(path: Path, table: pd.DataFrame) -> list[NeuronKey]:
    bad = ~table["unit"].str.fullmatch(r"\d{1,9}")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise InputError(
            f"{path}: row {row + 1} has unit {table['unit'].iloc[row]!r}, not a number"
        )
    columns = [
        table[name] if name in table.columns else [_UNKNOWN] * len(table)
        for name in ("model", "dataset", "layer")
    ]
    return [
        NeuronKey(model, dataset, layer, int(unit))
        for model, dataset, layer, unit in zip(*columns, table["unit"], strict=True)
    ]


def _some(keys: Sequence[NeuronKey]) -> str:
    return ", ".join(f"{key.layer}:{key.unit}" for key in keys[:3])
