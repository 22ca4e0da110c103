"""Facts about neurons that are not in their records: statistics, image names, descriptions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from milannotations.annotations import fitting_keys, index_of, read_descriptions
from milannotations.catalog.releases import is_known, members
from milannotations.data_home import config_folder
from milannotations.errors import InputError
from milannotations.numerals import count_of, shown
from milannotations.parquet import open_parquet, parquet_errors
from milannotations.reading import is_there
from milannotations.record import NeuronKey
from milannotations.rows import read_rows

STATISTICS = "statistics.parquet"
IMAGES = "images.csv"
MAX_BINS = 1000  # per histogram; a card has room for fewer
_NUMBERS = ("minimum", "maximum", "low", "high")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in NeuronKey._fields[:3]),
        ("unit", pa.int64()),
        ("images", pa.int64()),
        *((name, pa.float64()) for name in _NUMBERS),
        ("counts", pa.list_(pa.int64())),
    ]
)


def folders_of(dataset: str) -> list[Path]:
    """Return the folders on this machine that contain a dataset's ``data`` folders.

    A group of configs has several; the embedded demo and repositories have none.
    """
    if is_known(dataset):
        return [config_folder(config) for config in members(dataset)]
    path = Path(dataset).expanduser()
    if path.is_dir():
        return [path]
    if path.is_file():
        return [path.parent.parent if path.parent.name == "data" else path.parent]
    return []


def tidy(number: Any) -> float | None:
    """Return a number rounded to a float32's six digits; None if it is not finite."""
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.6g}")


class Statistics:
    """The activations of each neuron over all images, if a build has stored them.

    Args:
        folders: Dataset folders; those without ``statistics.parquet`` are skipped.

    Raises:
        InputError: If a file cannot be used; names the file.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._tables: list[tuple[Path, pa.Table]] = []
        self._rows: dict[NeuronKey, tuple[int, int]] = {}
        for path in (folder / STATISTICS for folder in folders):
            if path.is_file():
                self._add(path)

    def of(self, key: NeuronKey) -> dict[str, Any] | None:
        """Return a neuron's statistics for its card, or None if they are not known.

        They are the number of ``images`` seen, the ``minimum`` and ``maximum`` over all positions,
        and a histogram: ``counts`` of bins of equal width from ``low`` to ``high``.

        Raises:
            InputError: If they are invalid.
        """
        if key not in self._rows:
            return None
        table, row = self._rows[key]
        path, columns = self._tables[table]
        facts = {name: columns[name][row].as_py() for name in ("images", *_NUMBERS, "counts")}
        numbers = {name: tidy(facts[name]) for name in _NUMBERS}
        counts = facts["counts"] or []
        if None in numbers.values() or None in counts or min(counts, default=0) < 0:
            raise InputError(f"{path}: the statistics of {key} hold numbers that make no sense")
        if len(counts) > MAX_BINS or facts["low"] > facts["high"]:
            raise InputError(
                f"{path}: the histogram of {key} has {len(counts)} bins from {facts['low']} to "
                f"{facts['high']}"
            )
        return {"images": facts["images"], **numbers, "counts": counts}

    def _add(self, path: Path) -> None:
        with open_parquet(path) as file, parquet_errors(path):
            lacking = [name for name in _SCHEMA.names if name not in file.schema.names]
            if lacking:
                raise InputError(f"{path} lacks the columns {lacking}; build the dataset again")
            table = file.table(_SCHEMA.names).select(_SCHEMA.names).cast(_SCHEMA)
        columns = (table[name].to_pylist() for name in NeuronKey._fields)
        for row, (model, dataset, layer, unit) in enumerate(zip(*columns, strict=True)):
            if unit is None:
                raise InputError(f"{path}: row {row + 1} has no unit")
            key = NeuronKey(str(model), str(dataset), str(layer), unit)
            self._rows[key] = (len(self._tables), row)
        self._tables.append((path, table))


def read_image_names(folders: Sequence[Path], wanted: Collection[int]) -> dict[int, str]:
    """Return the names of some images, from the list that a build or an import has written.

    Args:
        folders: Dataset folders. If there are several, nothing is returned, as the same id may mean
            different images.
        wanted: The ids to look up; only their names are kept.

    Raises:
        InputError: If the list cannot be used; names the file and the line.
    """
    path = folders[0] / IMAGES if len(folders) == 1 else None
    if path is None or not is_there(path) or not wanted:
        return {}
    columns = ("image_id", "name")
    rows = read_rows(path, columns, columns)
    names: dict[int, str] = {}
    for at, (number, name) in enumerate(zip(*map(rows.column, columns), strict=True)):
        index = count_of(number)
        if index is None:
            raise InputError(
                f"{path}, {rows.where(at)}: image_id {shown(number)} is no number from 0"
            )
        if index in names:
            raise InputError(f"{path}, {rows.where(at)} names image {index} again")
        if index in wanted and name:
            names[index] = name
    return names


class Descriptions:
    """Methods' descriptions of the neurons of a dataset; a method is named after its file.

    Attributes:
        methods: Names of the methods, in the order of the files.
        notes: What the user should know, such as that some descriptions are of other neurons.

    Raises:
        InputError: If a file cannot be read, describes none of the neurons, or does not say which
            of several neurons it means, or if two files have the same name.
    """

    def __init__(self, paths: Sequence[Path], keys: Iterable[NeuronKey]) -> None:
        self.methods = [path.stem for path in paths]
        self.notes: list[str] = []
        self._texts: list[dict[NeuronKey, str]] = []
        for name in self.methods:
            if self.methods.count(name) > 1:
                raise InputError(
                    f"two files of descriptions are called {name!r}; methods are named after "
                    "their files: rename one"
                )
        tables = [(path, read_descriptions(path)) for path in paths]
        index = index_of(keys if tables else ())
        for path, texts in tables:
            self._texts.append(dict(_placed(path, texts, index)))
            left_out = len(texts) - len(self._texts[-1])
            if left_out == len(texts):
                key = next(iter(texts))
                raise InputError(
                    f"{path} describes none of these neurons; the first it describes is "
                    f"{key.layer}:{key.unit} of {key.model or '?'}-{key.dataset or '?'}"
                )
            if left_out:
                self.notes.append(f"{path}: {left_out} descriptions are of other neurons")

    def of(self, key: NeuronKey) -> Iterator[tuple[int, str]]:
        """Yield the position of each method that describes a neuron, and its description."""
        for number, texts in enumerate(self._texts):
            if key in texts:
                yield number, texts[key]


def _placed(
    path: Path,
    texts: Mapping[NeuronKey, str],
    index: Mapping[tuple[str, int], Sequence[NeuronKey]],
) -> Iterator[tuple[NeuronKey, str]]:
    """Yield pairs of a neuron and its text; a file need not name model and dataset."""
    for key, text in texts.items():
        fitting = fitting_keys(key, index)
        if len(fitting) > 1:
            networks = " or ".join(f"{of.model}-{of.dataset}" for of in fitting)
            raise InputError(
                f"{path} does not say which {key.layer}:{key.unit} it describes, that of "
                f"{networks}; "
                "add the columns model and dataset"
            )
        if fitting:
            yield fitting[0], text
