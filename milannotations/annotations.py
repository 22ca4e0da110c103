"""Tables of text: annotation files, with several rows per neuron, and description files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import pandas as pd
from datasets import Dataset

from milannotations.errors import InputError, did_you_mean
from milannotations.notices import notify
from milannotations.numerals import NumeralError, count_of, decimal, shown
from milannotations.parquet.words import read_words
from milannotations.reading import check_file
from milannotations.record import FEATURES, NeuronKey
from milannotations.rows import Rows, TableLine, read_rows
from milannotations.tables import canonical
from milannotations.texts import fault_of, is_blank

_UNKNOWN = ""


def read_annotations(path: Path, stream: IO[bytes] | None = None) -> dict[NeuronKey, list[str]]:
    """Read human annotations: columns layer, unit and summary, any number of rows per neuron.

    The columns model and dataset are read if they exist and are empty otherwise; other columns
    are ignored. A neuron's annotations keep the order of the file.

    Args:
        path: A text table that ``milannotations.tables`` reads, or a Parquet file.
        stream: The text itself, if it is not in a separate file; ``path`` then only names it.

    Raises:
        InputError: If the table is not valid; names the file, the row and the value.
    """
    rows = _read_table(path, "summary", stream)
    annotations: dict[NeuronKey, list[str]] = {}
    texts = rows.column("summary")
    for key, text in zip(_keys(path, rows), texts, strict=True):
        annotations.setdefault(key, []).append(text)
    blank = [at for at, text in enumerate(texts) if is_blank(text)]
    if blank:
        notify(
            f"{path}: {len(blank):,} of {len(texts):,} annotations are blank, the first in "
            f"{rows.where(blank[0])}; nothing is scored against them"
        )
    return annotations


def read_descriptions(path: Path) -> dict[NeuronKey, str]:
    """Read a method's descriptions: columns layer, unit and description, one row per neuron.

    Raises:
        InputError: If the table is not valid; names the file, the row and the value. As in a
            submission to a leaderboard, a neuron described twice, a blank description and one
            with invisible characters are errors.
    """
    rows = _read_table(path, "description")
    return {key: text for key, (_, text) in _described(path, rows).items()}


def read_scored_descriptions(path: Path) -> dict[NeuronKey, tuple[str, float | None]]:
    """Read descriptions, each with its value in the column ``score``, None if that is empty.

    Raises:
        InputError: As in ``read_descriptions``; also if a score is not a finite number.
    """
    rows = _read_table(path, "description")
    scores = rows.column("score")
    return {
        key: (text, _score(path, rows, at, scores[at]))
        for key, (at, text) in _described(path, rows).items()
    }


def _described(path: Path, rows: Rows) -> dict[NeuronKey, tuple[int, str]]:
    """Return the position of each neuron's row and its description."""
    described: dict[NeuronKey, tuple[int, str]] = {}
    texts = rows.column("description")
    for at, (key, text) in enumerate(zip(_keys(path, rows), texts, strict=True)):
        where = f"{path}: {rows.where(at)}"
        neuron = f"{key.layer}:{key.unit}"
        if key in described:
            raise InputError(
                f"{where} describes {neuron} again, after {rows.where(described[key][0])}"
            )
        if is_blank(text):
            blank = sum(map(is_blank, texts))
            others = f" ({blank:,} of {len(texts):,} descriptions are)" if blank > 1 else ""
            raise InputError(
                f"{where}: the description of {neuron} is blank{others}; describe the neuron, or "
                "leave its row out"
            )
        fault = fault_of(text, lines=True)
        if fault:
            raise InputError(f"{where}: the description of {neuron} {fault}")
        described[key] = at, text
    return described


def _score(path: Path, rows: Rows, at: int, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return decimal(text)
    except NumeralError as error:
        raise InputError(
            f"{path}: {rows.where(at)}: score {error}; leave the cell empty where there is none"
        ) from error


def align(
    annotations: Mapping[NeuronKey, Sequence[str]],
    descriptions: Mapping[NeuronKey, str],
    only_described: bool = False,
) -> list[NeuronKey]:
    """Return the keys of the neurons that can be scored, in the annotations' order.

    Raises:
        InputError: As in ``matched``.
    """
    return list(matched(annotations, descriptions, only_described))


def matched(
    annotations: Mapping[NeuronKey, Sequence[str]],
    descriptions: Mapping[NeuronKey, str],
    only_described: bool = False,
) -> dict[NeuronKey, str]:
    """Return the descriptions by the annotations' keys, in the annotations' order.

    A file that names no model or no data set fits any, as long as it is clear which neuron is
    meant.

    Raises:
        InputError: If a description belongs to no annotated neuron or to several, a neuron is
            described twice or, unless ``only_described``, an annotated neuron has no description.
            The message names examples.
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
    """Return the neurons that a key may mean; an empty model or data set, in either, fits any."""
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
        annotations: The annotations of each neuron.
        model: Architecture, if the keys do not name it.
        dataset: Data it was trained on, if the keys do not name it.
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


def _read_table(path: Path, text_column: str, stream: IO[bytes] | None = None) -> Rows:
    needed = ("layer", "unit", text_column)
    wanted = (*needed, "model", "dataset", "score")
    if stream is None and path.suffix == ".parquet":
        rows = _read_parquet(path, wanted, needed)
    else:
        rows = read_rows(path, wanted, needed, stream)
    if not rows.lines:
        raise InputError(f"{path} has no rows")
    return rows


def _read_parquet(path: Path, wanted: Sequence[str], needed: Sequence[str]) -> Rows:
    """Return a Parquet file's cells as text; a missing value becomes an empty text."""
    check_file(path)
    table = read_words(path, wanted, lambda names: canonical(names, wanted))
    for column in needed:
        if column not in table.columns:
            hint = did_you_mean(column, table.columns)
            raise InputError(
                f"{path} has no column {column!r}{hint} (found: {list(table.columns)[:20]})"
            )
    for column in wanted:
        if list(table.columns).count(column) > 1:
            raise InputError(f"{path} has two columns {column!r}")
    short = table[list(needed)].isna().any(axis=1)
    if short.any():
        raise InputError(f"{path}: row {int(short.to_numpy().argmax()) + 1} lacks a value")
    header = [name for name in wanted if name in table.columns]
    texts = [["" if pd.isna(cell) else str(cell) for cell in table[name]] for name in header]
    cells = map(list, zip(*texts, strict=True))
    return Rows(
        header, [TableLine(row, row_cells) for row, row_cells in enumerate(cells, 1)], "row"
    )


def _keys(path: Path, rows: Rows) -> list[NeuronKey]:
    """Return the neuron of each row.

    Raises:
        InputError: If a unit is not a number, a layer is blank, or a name has invisible
            characters; names the line.
    """
    columns = [
        [text.strip() for text in rows.column(name)]
        for name in ("model", "dataset", "layer", "unit")
    ]
    keys = []
    fine: set[tuple[str, str, str]] = set()
    for at, (model, dataset, layer, unit) in enumerate(zip(*columns, strict=True)):
        number = count_of(unit)
        if number is None:
            raise InputError(
                f"{path}: {rows.where(at)} has unit {shown(unit)}, not a number that counts units"
            )
        if (model, dataset, layer) not in fine:
            if not layer:
                raise InputError(f"{path}: {rows.where(at)} has no layer")
            for name, text in (("model", model), ("dataset", dataset), ("layer", layer)):
                if fault := fault_of(text):
                    raise InputError(f"{path}: {rows.where(at)}: the name of the {name} {fault}")
            fine.add((model, dataset, layer))
        keys.append(NeuronKey(model, dataset, layer, number))
    return keys


def _some(keys: Sequence[NeuronKey]) -> str:
    return ", ".join(f"{key.layer}:{key.unit}" for key in keys[:3])
