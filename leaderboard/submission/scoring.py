"""Scoring checked submissions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from benchmark.references import HELD_OUT
from benchmark.sanity.check_results import SanityReport, read_reports
from benchmark.sanity.suite import check_metrics
from leaderboard.definition import BoardDefinition
from leaderboard.submission.checking import CheckedSubmission
from milannotations.describer import create
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.storage import check_folder
from milannotations.storage.tidying import tidy_up


def score_submissions(
    submissions: Sequence[CheckedSubmission],
    board: BoardDefinition,
    device: Any = "cpu",
    notify: Notify = lambda _: None,
) -> tuple[dict[str, Scored], list[Task], list[Any]]:
    """Score submissions that have no problems.

    Args:
        submissions: Submissions of different methods.
        board: The board that they were checked against.
        device: Where encoders run.
        notify: Called with a line before each long step.

    Returns:
        The scores of each, by the method's name; the splits; the metrics.

    Raises:
        InputError: If a submission has problems, has no split that may be scored, or is a second
            one of its method.
    """
    tasks: dict[str, Task] = {}
    methods, predictions = {}, {}
    for checked in submissions:
        checked.problems.raise_any()
        assert checked.submission is not None
        name = checked.submission.name
        if name in methods:
            raise InputError(f"{checked.path}: a second submission of the method {name!r}")
        methods[name] = checked.submission.method()
        wanted = [split for split in checked.neurons if split not in checked.refused]
        if not wanted:
            reasons = "; ".join(f"{split}: {why}" for split, why in checked.refused.items())
            raise InputError(f"{checked.path}: every split is refused: {reasons}")
        for split in wanted:
            if split not in tasks:
                tasks[split] = make_task(split, checked.neurons[split], board.protocol)
            predictions[name, split] = _predictions(checked, tasks[split])
    metrics = board.make_metrics(device)
    order = [tasks[split.name] for split in board.splits if split.name in tasks]
    scored = score(methods, order, predictions, metrics, board.resamples, board.seed, notify)
    for checked in submissions:
        assert checked.submission is not None
        own = scored[checked.submission.name]
        own.result = own.result.model_copy(
            update={
                "board": board.label,
                "submission": checked.digest,
                "refused": checked.refused,
                "hardware": checked.submission.hardware,
                "wall_time_s": checked.submission.wall_time_s,
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
    """Score submissions, and save each result, its table, and the sanity reports of the metrics.

    Args:
        results: Folder for ``<method>.json``, ``<method>.per_neuron.parquet`` and ``sanity``.
        submissions: See ``score_submissions``.
        board: See there.
        device: See there.
        notify: See there.
        sanity: Whether to check the metrics where there is no valid report.

    Returns:
        The scores of each, by the method's name, and the splits.

    Raises:
        InputError: See ``score_submissions``.
    """
    check_folder(results)
    scored, tasks, metrics = score_submissions(
        submissions, board, device, lambda line: notify(f"Scoring: {line}")
    )
    for own in scored.values():
        own.save(results)
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
    """Report for each scored split which metrics can be fooled; valid reports are kept."""
    present = read_reports(results) if results.is_dir() else {}
    for scored in tasks:
        # The checks are made of held-out annotations, whatever the board's protocol.
        task = scored if scored.protocol == HELD_OUT else make_task(scored.name, scored.neurons)
        if len(task.positions) < 2:
            continue
        report = present.get(task.name)
        if report is not None and _is_valid(report, task, metrics):
            tidy_up(report.path_below(results))  # a process killed at its end may leave a lock
            continue
        report = check_metrics(
            task, metrics, board.resamples, board.seed, lambda line: notify(f"Sanity: {line}")
        )
        report.save(results)


def _predictions(checked: CheckedSubmission, task: Task) -> Predictions:
    assert checked.submission is not None
    which = checked.submission.describer
    if not which:
        return fixed_predictions(task, checked.texts[task.name])
    seed = checked.submission.seed or 0
    return describe(create(which, **({} if which == "oracle" else {"seed": seed})), task)


def _is_valid(report: SanityReport, task: Task, metrics: Sequence[Any]) -> bool:
    """Return whether a report is on these metrics and neurons."""
    signatures = {metric.name: metric.signature for metric in metrics}
    reported = {name: checks.signature for name, checks in report.metrics.items()}
    return signatures.items() <= reported.items() and report.fingerprint == fingerprint(
        task.neurons
    )
