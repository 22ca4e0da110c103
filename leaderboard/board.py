"""The board: which numbers may stand in one column, and in which order methods are shown.

A column is identified by split, metric, signature and data set fingerprint. Two numbers that
differ in any of these were not measured the same way, so they never share a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.pairs import Pair, read_pair
from benchmark.result import Method, MetricInfo, Result, Score, read_result
from leaderboard.ranking import rank_intervals
from milannotations.errors import InputError, did_you_mean

MAIN_METRIC = "identification"


@dataclass(frozen=True, eq=False)
class LoadedResult(Pair):
    """One method's result with its per-neuron table, and the files both were read from."""

    @property
    def method(self) -> Method:
        """Who made the descriptions."""
        return self.result.method


class ColumnKey(NamedTuple):
    """What two numbers must have in common to be compared."""

    split: str
    metric: str
    signature: str
    fingerprint: str


@dataclass(frozen=True)
class Column:
    """One column of the board.

    Attributes:
        key: Its identity.
        metric: Title, direction and chance level.
        variant: 0 where the split has one column of this metric; else 1, 2, … among them, the
            one with the most methods first.
    """

    key: ColumnKey
    metric: MetricInfo
    variant: int = 0


@dataclass(frozen=True)
class Row:
    """One method on the board.

    Attributes:
        method: Who made the descriptions.
        rank: One more than how many methods are clearly better in the main column, so that methods
            which cannot be told apart share a rank; see ``leaderboard.ranking``. None for controls
            and people (anchors, not competitors), for methods without a value there, and for
            methods whose interval there holds chance.
        cells: One score or None per column of the board, in their order.
        refused: For each column why the method was not scored there; empty where it was, or sent
            nothing in.
        at_chance: Whether it has no rank because its interval in the main column holds chance.
    """

    method: Method
    rank: int | None
    cells: tuple[Score | None, ...]
    refused: tuple[str, ...] = ()
    at_chance: bool = False


@dataclass(frozen=True)
class Board:
    """The whole table: rows are in the order of the main column, best first.

    Attributes:
        splits: Every split of any result, the main one first, scored or not.
        columns: Grouped by split in that order; in each, the main metric first.
        rows: One per method; those without a value in the main column come last, by title.
        main: Index of the main column, or None where no split has scores at all.
    """

    splits: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    main: int | None

    def column_of(self, split: str, metric: str) -> int | None:
        """Return the index of the first (most used) column of a metric on a split, if any."""
        for index, column in enumerate(self.columns):
            if (column.key.split, column.key.metric) == (split, metric):
                return index
        return None


class Refused(NamedTuple):
    """A row that does not stand on the board, and why."""

    path: Path
    reason: str


def load_results(folder: Path) -> list[LoadedResult]:
    """Read every ``*.json`` of a folder with its per-neuron table, by file name.

    Raises:
        InputError: Names every file that is missing, invalid, at odds with its table, or a second
            one of a method.
    """
    loaded, refused = sort_out(folder)
    if refused:
        lines = [one.reason for one in refused]
        if len(lines) == 1:
            raise InputError(lines[0])
        raise InputError(
            f"{len(lines)} results of {folder} cannot be used:\n"
            + "\n".join(f"  {line}" for line in lines)
        )
    return loaded


def sort_out(folder: Path) -> tuple[list[LoadedResult], list[Refused]]:
    """Read every ``*.json`` of a folder, and tell results that can be used from those that cannot.

    Raises:
        InputError: If there is no such folder, or no result in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one that holds <method>.json files")
    paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no result; `milannotations score` writes <method>.json")
    loaded: dict[str, LoadedResult] = {}
    refused = []
    for path in paths:
        try:
            name = read_result(path).method.name
            if name in loaded:
                raise InputError(
                    f"{path} is a second result of method {name!r}, after {loaded[name].path}; "
                    "remove one or rename the method"
                )
            loaded[name] = load_result(path)
        except InputError as error:  # noqa: PERF203
            refused.append(Refused(path, str(error)))
    return list(loaded.values()), refused


def splits_in(folder: Path, sound: bool = False) -> set[str]:
    """Return the splits of all results in a folder that can be read.

    Args:
        folder: The folder.
        sound: Only of those that agree with their tables, which takes longer.
    """
    if sound:
        return {split for one in sort_out(folder)[0] for split in one.result.splits}
    splits: set[str] = set()
    for path in folder.glob("*.json"):
        with suppress(InputError, OSError):
            splits.update(read_result(path).splits)
    return splits


def load_result(path: Path) -> LoadedResult:
    """Read one result with its per-neuron table, and compare the two.

    Raises:
        InputError: Names the file that is missing or invalid, or in what the two disagree.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; name the JSON of a result")
    pair = read_pair(path)
    return LoadedResult(pair.path, pair.result, pair.table_path, pair.per_neuron)


def build_board(
    results: Sequence[LoadedResult],
    main_metric: str = MAIN_METRIC,
    main_split: str | None = None,
) -> Board:
    """Arrange results as a table.

    Args:
        results: One or more results of different methods.
        main_metric: Name of the metric that orders the rows.
        main_split: Split that orders the rows; default the first one that has this metric.

    Raises:
        InputError: If no column has the main metric or split, or if two results that share a
            column disagree on its direction or chance level.
    """
    metrics = _metrics(results)
    split = _main_split(results, metrics, main_metric, main_split)
    names = dict.fromkeys(name for loaded in results for name in loaded.result.splits)
    splits = sorted(names, key=lambda name: name != split)  # stable: main first, rest as they were
    columns = _columns(results, metrics, splits, main_metric)
    main = next(
        (i for i, c in enumerate(columns) if (c.key.split, c.key.metric) == (split, main_metric)),
        None,
    )
    cells = {
        loaded.method.name: tuple(_cell(loaded.result, column.key) for column in columns)
        for loaded in results
    }
    ranks = _ranks(results, columns[main], main, cells) if main is not None else {}
    rows = _rows(results, cells, columns, main, ranks)
    return Board(tuple(splits), tuple(columns), tuple(rows), main)


def _keys(result: Result) -> Iterable[ColumnKey]:
    for split, scored in result.splits.items():
        for name, score in scored.scores.items():
            yield ColumnKey(split, name, score.signature, scored.fingerprint)


def _metrics(results: Sequence[LoadedResult]) -> dict[ColumnKey, MetricInfo]:
    """Return every column's metric, as the first result that has it declares it."""
    first: dict[ColumnKey, tuple[MetricInfo, Path]] = {}
    for loaded in results:
        for key in _keys(loaded.result):
            metric = loaded.result.metrics[key.metric]
            known, path = first.setdefault(key, (metric, loaded.path))
            for fact in ("higher_is_better", "chance"):
                if getattr(metric, fact) != getattr(known, fact):
                    raise InputError(
                        f"{loaded.path}: metric {key.metric!r} has {fact} = "
                        f"{getattr(metric, fact)}, but {getattr(known, fact)} in {path} under "
                        f"the same signature {key.signature!r}"
                    )
    return {key: metric for key, (metric, _) in first.items()}


def _main_split(
    results: Sequence[LoadedResult],
    metrics: dict[ColumnKey, MetricInfo],
    main_metric: str,
    main_split: str | None,
) -> str | None:
    if main_split is not None:
        known = {name for loaded in results for name in loaded.result.splits}
        if main_split not in known:
            hint = did_you_mean(main_split, known)
            raise InputError(f"no result has the split {main_split!r}{hint}")
        if not any((key.split, key.metric) == (main_split, main_metric) for key in metrics):
            raise InputError(f"no result has the metric {main_metric!r} on split {main_split!r}")
        return main_split
    if not metrics:
        return None
    for key in metrics:
        if key.metric == main_metric:
            return key.split
    named = sorted({key.metric for key in metrics})
    hint = did_you_mean(main_metric, named)
    raise InputError(f"no result has the metric {main_metric!r}{hint}; they have {named}")


def _columns(
    results: Sequence[LoadedResult],
    metrics: dict[ColumnKey, MetricInfo],
    splits: Sequence[str],
    main_metric: str,
) -> list[Column]:
    methods = Counter(key for loaded in results for key in _keys(loaded.result))
    per_metric = Counter((key.split, key.metric) for key in metrics)
    order = list(dict.fromkeys(key.metric for key in metrics))
    keys = sorted(
        metrics,
        key=lambda key: (
            splits.index(key.split),
            key.metric != main_metric,
            order.index(key.metric),
            -methods[key],
        ),
    )
    seen: Counter[tuple[str, str]] = Counter()
    columns = []
    for key in keys:
        seen[key.split, key.metric] += 1
        several = per_metric[key.split, key.metric] > 1
        variant = seen[key.split, key.metric] if several else 0
        columns.append(Column(key, metrics[key], variant))
    return columns


def _cell(result: Result, key: ColumnKey) -> Score | None:
    scored = result.splits.get(key.split)
    if scored is None or scored.fingerprint != key.fingerprint:
        return None
    score = scored.scores.get(key.metric)
    return score if score is not None and score.signature == key.signature else None


def _ranks(
    results: Sequence[LoadedResult],
    column: Column,
    at: int,
    cells: dict[str, tuple[Score | None, ...]],
) -> dict[str, int | None]:
    """Return the ranks of the methods that have a score in a column."""
    competing = [r.method.name for r in results if r.method.kind == "method"]
    scores = {name: score for name in competing if (score := cells[name][at]) is not None}
    ends = np.array([[s.value, s.low, s.high] for s in scores.values()]).reshape(-1, 3)
    value, low, high = ends.T
    chance = column.metric.chance
    if not column.metric.higher_is_better:
        value, low, high = -value, -high, -low
        chance = None if chance is None else -chance
    return dict(zip(scores, rank_intervals(value, low, high, chance).ranks, strict=True))


def _rows(
    results: Sequence[LoadedResult],
    cells: dict[str, tuple[Score | None, ...]],
    columns: Sequence[Column],
    main: int | None,
    ranks: dict[str, int | None],
) -> list[Row]:
    values: dict[str, float] = {}  # of the main column, turned so that higher is better
    methods = [loaded.method for loaded in results]
    refused = {
        loaded.method.name: tuple(loaded.result.refused.get(c.key.split, "") for c in columns)
        for loaded in results
    }
    if main is not None:
        sign = 1 if columns[main].metric.higher_is_better else -1
        for method in methods:
            score = cells[method.name][main]
            if score is not None:
                values[method.name] = sign * score.value
    ordered = sorted(
        methods,
        key=lambda m: (
            m.name not in values,
            -values.get(m.name, 0),
            ranks.get(m.name) or 0,
            m.title.casefold(),
            m.name,
        ),
    )
    return [
        Row(
            m, ranks.get(m.name), cells[m.name], refused[m.name],
            at_chance=m.name in ranks and ranks[m.name] is None,
        )
        for m in ordered
    ]  # fmt: skip
