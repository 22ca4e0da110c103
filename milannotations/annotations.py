"""Tables of words: annotation files, with several rows per neuron, and description files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
from datasets import Dataset

from milannotations.errors import InputError, did_you_mean
from milannotations.parquet.words import read_words
from milannotations.record import FEATURES, NeuronKey
from milannotations.tables import (
    MAX_TABLE_BYTES,
    Layout,
    canonical,
    read_layout,
    whole_number,
)
from milannotations.texts import fault_of, is_blank

_UNKNOWN = ""


def read_annotations(path: Path, stream: IO[bytes] | None = None) -> dict[NeuronKey, list[str]]:
    """Read human annotations: the columns layer, unit and summary, any rows per neuron.

    The columns model and dataset are read where they occur and are empty otherwise; other
    columns are ignored. A neuron's annotations keep the order of the file.

    Args:
        path: A table of text as ``milannotations.tables`` reads them, or a Parquet file.
        stream: The text itself, where it is no file of its own; ``path`` then only names it.

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
        InputError: Names the file, the row and the value. A neuron described twice, a description
            that shows nothing and one with characters that a reader does not see are errors, as
            they are in a submission to a leaderboard.
    """
    return {key: text for key, (text, _) in read_scored_descriptions(path).items()}


def read_scored_descriptions(path: Path) -> dict[NeuronKey, tuple[str, float | None]]:
    """Read descriptions, each with what the column ``score`` says, None where it says nothing.

    Raises:
        InputError: See ``read_descriptions``.
    """
    table = _read_table(path, "description")
    column = table["score"] if "score" in table.columns else pd.Series([""] * len(table))
    scores = pd.to_numeric(column, errors="coerce")
    descriptions: dict[NeuronKey, tuple[str, float | None]] = {}
    rows: dict[NeuronKey, int] = {}
    cells = zip(_keys(path, table), table["description"], scores, strict=True)
    for row, (key, text, score) in enumerate(cells, 1):
        if key in descriptions:
            raise InputError(f"{path}: row {row} describes {key} again, after row {rows[key]}")
        if is_blank(text):
            raise InputError(
                f"{path}: row {row}: the description of {key.layer}:{key.unit} is blank; describe "
                "the neuron, or leave its row out"
            )
        fault = fault_of(text, lines=True)
        if fault:
            raise InputError(
                f"{path}: row {row}: the description of {key.layer}:{key.unit} {fault}"
            )
        descriptions[key] = text, None if pd.isna(score) else float(score)
        rows[key] = row
    return descriptions


def align(
    annotations: Mapping[NeuronKey, Sequence[str]],
    descriptions: Mapping[NeuronKey, str],
    only_described: bool = False,
) -> list[NeuronKey]:
    """Return the keys, in the annotations' order, of the neurons that can be scored.

    Raises:
        InputError: See ``matched``.
    """
    return list(matched(annotations, descriptions, only_described))


def matched(
    annotations: Mapping[NeuronKey, Sequence[str]],
    descriptions: Mapping[NeuronKey, str],
    only_described: bool = False,
) -> dict[NeuronKey, str]:
    """Return the descriptions by the annotations' keys, in the annotations' order.

    A file that names no model or no data set is of any, as long as it is clear which neuron is
    meant.

    Raises:
        InputError: If a description belongs to no annotated neuron or to several, a neuron is
            described twice or, unless ``only_described``, an annotated neuron has no description.
            Some are named.
    """
    index = index_of(annotations)
    described_as: dict[NeuronKey, NeuronKey] = {}
    unknown = []
    for key in descriptions:
        fitting = fitting_keys(key, index)
        if len(fitting) > 1:
            raise InputError(
                f"the descriptions do not say which {key.layer}:{key.unit} they mean, that of "
                f"{' or '.join(f'{neuron.model}-{neuron.dataset}' for neuron in fitting)}; "
                "add the columns model and dataset"
            )
        if not fitting:
            unknown.append(key)
        elif fitting[0] in described_as:
            other = described_as[fitting[0]]
            raise InputError(
                f"the neuron {key.layer}:{key.unit} is described twice, as {other.model}-"
                f"{other.dataset} and as {key.model}-{key.dataset}, and the annotations do not "
                "name models; leave the rows of other networks out"
            )
        else:
            described_as[fitting[0]] = key
    if unknown:
        raise InputError(
            f"{len(unknown)} descriptions belong to no annotated neuron, for example "
            f"{_some(unknown)}; do both files name models, data sets and layers alike?"
        )
    missing = [key for key in annotations if key not in described_as]
    if missing and not only_described:
        raise InputError(
            f"{len(missing)} of {len(annotations)} annotated neurons have no description, for "
            f"example {_some(missing)}; pass --only-described to score the others alone"
        )
    return {key: descriptions[described_as[key]] for key in annotations if key in described_as}


def index_of(keys: Iterable[NeuronKey]) -> dict[tuple[str, int], list[NeuronKey]]:
    """Return neurons by layer and unit, for ``fitting_keys``."""
    index: dict[tuple[str, int], list[NeuronKey]] = {}
    for key in keys:
        index.setdefault((key.layer, key.unit), []).append(key)
    return index


def fitting_keys(
    key: NeuronKey, index: Mapping[tuple[str, int], Sequence[NeuronKey]]
) -> list[NeuronKey]:
    """Return the neurons that a key may mean; on either side an empty model or data set is any."""
    candidates = index.get((key.layer, key.unit), ())
    if key in candidates:
        return [key]
    return [
        candidate
        for candidate in candidates
        if all(a == b or not a or not b for a, b in zip(key[:2], candidate[:2], strict=True))
    ]


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
    wanted = ("layer", "unit", text_column)
    table = read_frame(path, (*wanted, "model", "dataset", "score"), stream)
    for column in wanted:
        if column not in table.columns:
            hint = did_you_mean(column, table.columns)
            raise InputError(
                f"{path} has no column {column!r}{hint} (found: {list(table.columns)})"
            )
    if table.empty:
        raise InputError(f"{path} has no rows")
    short = table[list(wanted)].isna().any(axis=1)
    if short.any():
        raise InputError(f"{path}: row {int(short.to_numpy().argmax()) + 1} lacks a value")
    return table.astype(str)


def read_frame(path: Path, wanted: Sequence[str], stream: IO[bytes] | None = None) -> pd.DataFrame:
    """Return a table of text with its cells as texts, or a Parquet file's texts and numbers.

    Args:
        path: The file.
        wanted: Columns that are looked for; they have these names whatever the file calls them
            (see ``milannotations.tables``).
        stream: The text itself, where it is no file of its own.

    Raises:
        InputError: If it cannot be read, or names a wanted column twice.
    """
    if stream is None:
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes; at most 1 GB is read")
    try:
        if path.suffix == ".parquet":
            table = read_words(path, wanted, lambda names: canonical(names, wanted))
        else:
            layout = read_layout(path, wanted, stream)
            table = _read_csv(stream or path, layout)
            if layout.header:  # what pandas calls columns that come twice is of no use
                table.columns = list(layout.header)
    except InputError:
        raise
    except (ValueError, OSError, EOFError, UnicodeDecodeError, pd.errors.ParserWarning) as error:
        raise InputError(f"{path} cannot be read as a table: {error}") from error
    for column in wanted:
        if list(table.columns).count(column) > 1:
            raise InputError(f"{path} has two columns {column!r}")
    return table


def _read_csv(source: Path | IO[bytes], layout: Layout) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A row with more cells than there are columns, such as an unquoted comma makes.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            source,
            sep=layout.delimiter,
            skiprows=layout.skip,
            dtype=str,
            # Without these two an annotation such as "None" would become a number.
            keep_default_na=False,
            na_values=[],
            encoding="utf-8-sig",
            # A longer row would otherwise silently make its first cell an index.
            index_col=False,
        )


def _keys(path: Path, table: pd.DataFrame) -> list[NeuronKey]:
    units = []
    for row, text in enumerate(table["unit"], 1):
        unit = whole_number(text)
        if unit is None:
            raise InputError(f"{path}: row {row} has unit {text!r}, not a number that counts units")
        units.append(unit)
    columns = [
        table[name].str.strip() if name in table.columns else [_UNKNOWN] * len(table)
        for name in ("model", "dataset", "layer")
    ]
    return [
        NeuronKey(model, dataset, layer, unit)
        for model, dataset, layer, unit in zip(*columns, units, strict=True)
    ]


def _some(keys: Sequence[NeuronKey]) -> str:
    return ", ".join(f"{key.layer}:{key.unit}" for key in keys[:3])
