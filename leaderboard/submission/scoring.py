"""From checked submissions to rows, and from a row back to the submission: scoring, verifying."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.harness import (
    Notify,
    Predictions,
    Scored,
    Task,
    describe,
    fixed_predictions,
    make_task,
    score,
)
from benchmark.per_neuron import KEYS
from benchmark.references import HELD_OUT
from benchmark.result import Result, leaves, read_result
from benchmark.result_files import compare_result_files
from benchmark.sanity.check_results import read_reports
from benchmark.sanity.suite import check_metrics
from leaderboard.definition import CHANGED, BoardDefinition
from leaderboard.submission.checking import CheckedSubmission
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.storage import check_folder
from milannotations.storage.tidying import tidy_up

_OF_A_NEURON = 1e-3  # by which one neuron's own value may differ when it is computed again


def score_submissions(
    submissions: Sequence[CheckedSubmission],
    board: BoardDefinition,
    device: Any = "cpu",
    notify: Notify = lambda _: None,
) -> tuple[dict[str, Scored], list[Task], list[Any]]:
    """Score submissions that have no problems.

    Args:
        submissions: Each of a method of its own.
        board: What they were checked against.
        device: Where encoders run.
        notify: Called with a line before each long step.

    Returns:
        What each was scored, by the method's name; the splits; the metrics.

    Raises:
        InputError: If one has problems, nothing to be scored, or the name of another.
    """
    tasks: dict[str, Task] = {}
    methods, predictions = {}, {}
    for one in submissions:
        one.problems.raise_any()
        assert one.submission is not None
        name = one.submission.name
        if name in methods:
            raise InputError(f"{one.path}: a second submission of the method {name!r}")
        methods[name] = one.submission.method()
        wanted = [split for split in one.neurons if split not in one.refused]
        if not wanted:
            reasons = "; ".join(f"{split}: {why}" for split, why in one.refused.items())
            raise InputError(f"{one.path}: every split is refused: {reasons}")
        for split in wanted:
            if split not in tasks:
                tasks[split] = make_task(split, one.neurons[split], board.protocol)
            task = tasks[split]
            predictions[name, split] = _predictions(one, task)
    metrics = board.make_metrics(device)
    order = [tasks[split.name] for split in board.splits if split.name in tasks]
    scored = score(methods, order, predictions, metrics, board.resamples, board.seed, notify)
    for one in submissions:
        assert one.submission is not None
        found = scored[one.submission.name]
        found.result = found.result.model_copy(
            update={
                "board": board.label,
                "submission": one.digest,
                "refused": one.refused,
                "hardware": one.submission.hardware,
                "wall_time_s": one.submission.wall_time_s,
            }
        )
    return scored, order, metrics


def score_into(
    results: Path,
    submissions: Sequence[CheckedSubmission],
    board: BoardDefinition,
    device: Any = "cpu",
    notify: Notify = lambda _: None,
    sanity: bool = True,
) -> tuple[dict[str, Scored], list[Task]]:
    """Score submissions and save each result, its table, and what may be trusted of the metrics.

    Args:
        results: Folder for ``<method>.json``, ``<method>.per_neuron.parquet`` and ``sanity``.
        submissions: See ``score_submissions``.
        board: See there.
        device: See there.
        notify: See there.
        sanity: Whether metrics are checked, where no report that holds is there.

    Returns:
        What each was scored, by the method's name, and the splits.

    Raises:
        InputError: See ``score_submissions``.
    """
    check_folder(results)
    scored, tasks, metrics = score_submissions(
        submissions, board, device, lambda line: notify(f"Scoring: {line}")
    )
    for found in scored.values():
        found.save(results)
    if sanity:
        check_sanity(tasks, metrics, results, board, notify)
    return scored, tasks


def check_sanity(
    tasks: Sequence[Task],
    metrics: Sequence[Any],
    results: Path,
    board: BoardDefinition,
    notify: Notify = lambda _: None,
) -> None:
    """Ask of each scored split, once, which metrics can be fooled; reports that hold are kept."""
    present = read_reports(results) if results.is_dir() else {}
    for scored in tasks:
        # What the checks are made of are annotations held out, whatever the board's protocol.
        task = scored if scored.protocol == HELD_OUT else make_task(scored.name, scored.neurons)
        if len(task.positions) < 2:
            continue
        report = present.get(task.name)
        signatures = {metric.name: metric.signature for metric in metrics}
        if (
            report is not None
            and signatures.items()
            <= {name: checked.signature for name, checked in report.metrics.items()}.items()
            and report.fingerprint == fingerprint(task.neurons)
        ):
            tidy_up(report.path_below(results))  # what a process left that was killed at its end
            continue
        report = check_metrics(
            task, metrics, board.resamples, board.seed, lambda line: notify(f"Sanity: {line}")
        )
        report.save(results)


def differences(
    result: Path,
    checked: CheckedSubmission,
    board: BoardDefinition,
    device: Any = "cpu",
    notify: Notify = lambda _: None,
    rescore: Callable[..., Any] = score_submissions,
) -> tuple[list[str], list[str]]:
    """Compute a row anew from its submission and compare.

    Args:
        result: The row's JSON; its per-neuron table lies beside it.
        checked: The submission.
        board: The board it is for.
        device: Where encoders run.
        notify: Called with a line before each long step.
        rescore: What computes it.

    Returns:
        Every difference in a line, none if the row is what the submission is worth; and remarks
        on what is no difference, such as other versions of libraries.

    Raises:
        InputError: If a file cannot be used.
    """
    recorded = read_result(result)
    table = None
    differing: list[str] = []
    try:
        pair, differing = compare_result_files(result)
        recorded, table = pair.result, pair.per_neuron
    except InputError as error:
        differing = [str(error)]
    scored, _, _ = rescore([checked], board, device, notify)
    assert checked.submission is not None
    name = checked.submission.name
    if recorded.method.name != name:
        return [
            *differing,
            f"the row is of {recorded.method.name!r}, the submission of {name!r}",
        ], []
    scored_anew = scored[name]
    differing += _fields(recorded, scored_anew.result)
    if table is not None:
        differing += _tables(table, scored_anew.per_neuron)
    remarks = [
        f"{library} was {recorded.versions[library]}, is {now}"
        for library, now in scored_anew.result.versions.items()
        if library in recorded.versions and recorded.versions[library] != now
    ]
    return differing, remarks


def _predictions(checked: CheckedSubmission, task: Task) -> Predictions:
    assert checked.submission is not None
    which = checked.submission.describer
    if not which:
        return fixed_predictions(task, checked.texts[task.name])
    seed = checked.submission.seed or 0
    return describe(create(which, **({} if which == "oracle" else {"seed": seed})), task)


# What no submission determines: other versions are remarks, and the table is compared by itself.
_APART = {"schema_version", "table", "versions"}
_MEASURED = ("value", "low", "high")


def _fields(recorded: Result, found: Result) -> Iterator[str]:
    """Yield every field that differs, each number beyond what rounding on another machine does."""
    plain = [one.model_dump(mode="json", exclude=_APART) for one in (recorded, found)]
    for split in dict.fromkeys((*recorded.splits, *found.splits)):
        sides: list[Any] = [one["splits"].get(split) for one in plain]
        if None in sides:
            yield f"splits.{split} is only in {_where(sides)}"
            for side in plain:
                side["splits"].pop(split, None)
            continue
        for metric in dict.fromkeys((*sides[0]["scores"], *sides[1]["scores"])):
            scores = [side["scores"].get(metric) for side in sides]
            if None in scores:
                yield f"splits.{split}.scores.{metric} is only in {_where(scores)}"
                for scored in sides:
                    scored["scores"].pop(metric, None)
    ours, theirs = (dict(leaves(one)) for one in plain)
    for field in dict.fromkeys((*ours, *theirs)):
        one, other = ours.get(field), theirs.get(field)
        if one != other and not _unrecorded(field, one) and not _rounded(field, one, other):
            yield f"{field} is {_shown(one)} in the row, but {_shown(other)} by the submission"


def _where(sides: Sequence[Any]) -> str:
    return "the submission" if sides[0] is None else "the row"


def _unrecorded(field: str, value: Any) -> bool:
    """Say whether a field is one that older versions did not write."""
    return (field.endswith(".mean") and value is None) or (
        field.endswith(".config") and value == ""
    )


def _rounded(field: str, one: Any, other: Any) -> bool:
    if field.rpartition(".")[2] not in _MEASURED or not field.startswith("splits."):
        return False
    if not all(isinstance(side, (int, float)) for side in (one, other)):
        return False
    return abs(one - other) <= CHANGED * max(1.0, abs(other))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:100]


def _tables(recorded: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    ours, theirs = (table.set_index(list(KEYS)) for table in (recorded, found))
    if not ours.index.is_unique or set(ours.index) != set(theirs.index):
        return ["the per-neuron table has other neurons"]
    ours = ours.loc[theirs.index]
    remarks = []
    other = ours["description"] != theirs["description"]
    if other.any():
        first = " ".join(map(str, ours.index[other][0]))
        remarks.append(f"{int(other.sum())} descriptions differ, the first of {first}")
    for metric in sorted({*ours.columns, *theirs.columns} - {"description"}):
        if metric not in ours or metric not in theirs:
            remarks.append(f"the column {metric} is only in one of the per-neuron tables")
            continue
        a, b = (pd.to_numeric(t[metric], errors="coerce") for t in (ours, theirs))
        far = ~((a - b).abs() <= _OF_A_NEURON * b.abs().clip(lower=1.0)) & ~(a.isna() & b.isna())
        if far.any():
            worst = (a - b).abs()[far].max()
            size = "" if math.isnan(worst) else f", by up to {worst:.3g}"
            remarks.append(f"{metric}: {int(far.sum())} neurons' own values differ{size}")
    return remarks
