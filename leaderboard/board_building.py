"""Building the board: which numbers share a column, in which order methods stand, what may rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.references import RULES, signed
from benchmark.result import Method, MetricInfo, Result, Score
from benchmark.sanity.check_results import SanityReport
from benchmark.sanity.checks import CHECKS
from benchmark.significance import rank_intervals
from leaderboard.board import Board, BoardRow, Column, ColumnKey
from leaderboard.results_folder import LoadedResult
from milannotations.errors import InputError, did_you_mean

MAIN_METRIC = "identification"


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

    >>> from leaderboard.definition import read_board
    >>> from leaderboard.results_folder import load_results
    >>> board = build_board(load_results(read_board("demo").results))
    >>> board.rows[0].method.title, board.main_column.key.metric
    ('Oracle: one reference held out', 'identification')
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
    rows = _rows(results, columns, main)
    return Board(tuple(splits), tuple(columns), tuple(rows), main)


def check_main(board: Board, reports: Mapping[str, SanityReport]) -> None:
    """Refuse to rank by a metric that can be fooled.

    Args:
        board: The board.
        reports: The sanity report of each split that was checked.

    Raises:
        InputError: If the report on the main column's split and metric says so; names the checks
            that failed.
    """
    column = board.main_column
    if column is None:
        return
    key = column.key
    report = reports.get(key.split)
    if report is None or key.metric not in report.metrics:
        return
    checked_metric = report.metrics[key.metric]
    # The checks hold an annotation out; their outcome for a metric holds under every protocol.
    signatures = {signed(checked_metric.signature, protocol) for protocol in RULES}
    if (
        key.signature not in signatures
        or report.fingerprint != key.fingerprint
        or checked_metric.passed
    ):
        return
    checks = (
        (check.name, checked_metric.checks.get(check.name)) for check in CHECKS if check.required
    )
    failed = [name for name, outcome in checks if outcome is None or not outcome.passed]
    passing = [name for name, metric in report.metrics.items() if metric.passed]
    reason = ", ".join(failed) if checked_metric.tells_people else "to tell people from chance"
    raise InputError(
        f"{checked_metric.title} may not rank on {key.split!r}: it fails {reason}; choose another "
        f"main metric ({', '.join(passing) or 'none of those checked passes'})"
    )


def _keys(result: Result) -> Iterable[ColumnKey]:
    for split, scored in result.splits.items():
        for name, score in scored.scores.items():
            yield ColumnKey(split, name, score.signature, scored.fingerprint)


def _metrics(results: Sequence[LoadedResult]) -> dict[ColumnKey, MetricInfo]:
    """Return every column's metric, as declared by the first result that has it."""
    first: dict[ColumnKey, tuple[MetricInfo, Path]] = {}
    for loaded in results:
        for key in _keys(loaded.result):
            metric = loaded.result.metrics[key.metric]
            earlier, path = first.setdefault(key, (metric, loaded.path))
            for fact in ("higher_is_better", "chance"):
                if getattr(metric, fact) != getattr(earlier, fact):
                    raise InputError(
                        f"{loaded.path}: metric {key.metric!r} has {fact} = "
                        f"{getattr(metric, fact)}, but {getattr(earlier, fact)} in {path} under "
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
        splits = {name for loaded in results for name in loaded.result.splits}
        if main_split not in splits:
            hint = did_you_mean(main_split, splits)
            raise InputError(f"no result has the split {main_split!r}{hint}")
        if not any((key.split, key.metric) == (main_split, main_metric) for key in metrics):
            raise InputError(f"no result has the metric {main_metric!r} on split {main_split!r}")
        return main_split
    if not metrics:
        return None
    for key in metrics:
        if key.metric == main_metric:
            return key.split
    names = sorted({key.metric for key in metrics})
    hint = did_you_mean(main_metric, names)
    raise InputError(f"no result has the metric {main_metric!r}{hint}; they have {names}")


def _columns(
    results: Sequence[LoadedResult],
    metrics: dict[ColumnKey, MetricInfo],
    splits: Sequence[str],
    main_metric: str,
) -> list[Column]:
    scores: dict[ColumnKey, list[tuple[Method, Score]]] = {key: [] for key in metrics}
    for loaded in results:
        for key in _keys(loaded.result):
            scores[key].append((loaded.method, loaded.result.splits[key.split].scores[key.metric]))
    columns_of_metric = Counter((key.split, key.metric) for key in metrics)
    order = list(dict.fromkeys(key.metric for key in metrics))
    keys = sorted(
        metrics,
        key=lambda key: (
            splits.index(key.split),
            key.metric != main_metric,
            order.index(key.metric),
            -len(scores[key]),
        ),
    )
    seen: Counter[tuple[str, str]] = Counter()
    columns = []
    for key in keys:
        metric = metrics[key]
        seen[key.split, key.metric] += 1
        several = columns_of_metric[key.split, key.metric] > 1
        competing = [score.value for method, score in scores[key] if method.kind == "method"]
        choose = max if metric.higher_is_better else min
        columns.append(
            Column(
                key,
                metric,
                variant=seen[key.split, key.metric] if several else 0,
                split_number=splits.index(key.split),
                scores=tuple(score for _, score in scores[key]),
                best=choose(competing) if len(competing) > 1 else None,
            )
        )
    return columns


def _cell(result: Result, key: ColumnKey) -> Score | None:
    scored = result.splits.get(key.split)
    if scored is None or scored.fingerprint != key.fingerprint:
        return None
    score = scored.scores.get(key.metric)
    return score if score is not None and score.signature == key.signature else None


def _ranks(column: Column, scores: Mapping[str, Score]) -> dict[str, int | None]:
    """Return the ranks of the competing methods, given their scores in a column."""
    ends = np.array([[s.value, s.low, s.high] for s in scores.values()]).reshape(-1, 3)
    value, low, high = ends.T
    chance = column.metric.chance
    if not column.metric.higher_is_better:
        value, low, high = -value, -high, -low
        chance = None if chance is None else -chance
    return dict(zip(scores, rank_intervals(value, low, high, chance).ranks, strict=True))


def _rows(
    results: Sequence[LoadedResult], columns: Sequence[Column], main: int | None
) -> list[BoardRow]:
    cells = {
        loaded.method.name: tuple(_cell(loaded.result, column.key) for column in columns)
        for loaded in results
    }
    ranks: dict[str, int | None] = {}
    sort_values: dict[str, float] = {}  # of the main column; the lowest comes first
    if main is not None:
        sign = -1 if columns[main].metric.higher_is_better else 1
        scores = [
            (loaded.method, score)
            for loaded in results
            if (score := cells[loaded.method.name][main]) is not None
        ]
        sort_values = {method.name: sign * score.value for method, score in scores}
        ranks = _ranks(columns[main], {m.name: score for m, score in scores if m.kind == "method"})

    def order(loaded: LoadedResult) -> tuple[bool, float, int, str, str]:
        name = loaded.method.name
        return (
            name not in sort_values,
            sort_values.get(name, 0),
            ranks.get(name) or 0,
            loaded.method.title.casefold(),
            name,
        )

    return [
        BoardRow(
            loaded,
            ranks.get(loaded.method.name),
            cells[loaded.method.name],
            tuple(loaded.result.refused.get(column.key.split, "") for column in columns),
            at_chance=ranks.get(loaded.method.name, 0) is None,
        )
        for loaded in sorted(results, key=order)
    ]
