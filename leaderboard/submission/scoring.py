"""From checked submissions to rows, and from a row back to the submission: scoring, verifying."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.harness import Entry, Notify, Scored, Task, describe, fixed_entry, make_task, score
from benchmark.references import HELD_OUT
from benchmark.result import PER_NEURON_COLUMNS, Result, read_per_neuron, read_result
from benchmark.sanity.report import read_reports
from benchmark.sanity.suite import check_metrics
from leaderboard.definition import CHANGED, BoardDefinition
from leaderboard.submission.checks import Checked
from milannotations.describer import create
from milannotations.errors import InputError

_OF_A_NEURON = 1e-3  # by which one neuron's own value may differ when it is computed again


def score_submissions(
    submissions: Sequence[Checked],
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
    methods, entries = {}, {}
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
            entries[name, split] = _entry(one, task)
    metrics = board.make_metrics(device)
    order = [tasks[split.name] for split in board.splits if split.name in tasks]
    scored = score(methods, order, entries, metrics, board.resamples, board.seed, notify)
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
    results: Path, submissions: Sequence[Checked], board: BoardDefinition, device: Any = "cpu",
    notify: Notify = lambda _: None, sanity: bool = True,
) -> tuple[dict[str, Scored], list[Task]]:  # fmt: skip
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
    scored, tasks, metrics = score_submissions(
        submissions, board, device, lambda line: notify(f"Scoring: {line}")
    )
    for found in scored.values():
        found.result.save(results, found.per_neuron)
    if sanity:
        check_sanity(tasks, metrics, results, board, notify)
    return scored, tasks


def check_sanity(
    tasks: Sequence[Task], metrics: Sequence[Any], results: Path, board: BoardDefinition,
    notify: Notify = lambda _: None,
) -> None:  # fmt: skip
    """Ask of each scored split, once, which metrics can be fooled; reports that hold are kept."""
    present = read_reports(results) if results.is_dir() else {}
    for scored in tasks:
        # What the checks are made of are annotations held out, whatever the board's protocol.
        task = scored if scored.protocol == HELD_OUT else make_task(scored.name, scored.neurons)
        if len(task.positions) < 2:
            continue
        known = present.get(task.name)
        signatures = {metric.name: metric.signature for metric in metrics}
        if (
            known is not None
            and signatures.items()
            <= {name: one.signature for name, one in known.metrics.items()}.items()
        ):
            from milannotations.fingerprints import fingerprint

            if known.fingerprint == fingerprint(task.neurons):
                continue
        report = check_metrics(
            task, metrics, board.resamples, board.seed, lambda line: notify(f"Sanity: {line}")
        )
        report.save(results)


def differences(
    result: Path, checked: Checked, board: BoardDefinition, device: Any = "cpu",
    notify: Notify = lambda _: None, rescore: Callable[..., Any] = score_submissions,
) -> tuple[list[str], list[str]]:  # fmt: skip
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
    table = read_per_neuron(result)
    scored, _, _ = rescore([checked], board, device, notify)
    assert checked.submission is not None
    name = checked.submission.name
    if recorded.method.name != name:
        return [f"the row is of {recorded.method.name!r}, the submission of {name!r}"], []
    found = scored[name]
    said = _metadata(recorded, found.result)
    for split in sorted({*recorded.splits, *found.result.splits}):
        said += _split(split, recorded, found.result)
    said += _tables(table, found.per_neuron)
    remarks = [
        f"{library} was {recorded.versions[library]}, is {now}"
        for library, now in found.result.versions.items()
        if library in recorded.versions and recorded.versions[library] != now
    ]
    return said, remarks


def _entry(checked: Checked, task: Task) -> Entry:
    assert checked.submission is not None
    which = checked.submission.describer
    if not which:
        return fixed_entry(task, checked.texts[task.name])
    seed = checked.submission.seed or 0
    return describe(create(which, **({} if which == "oracle" else {"seed": seed})), task)


def _metadata(recorded: Result, found: Result) -> list[str]:
    pairs = [(f"method.{k}", v, getattr(found.method, k)) for k, v in recorded.method]
    pairs += [
        (field, getattr(recorded, field), getattr(found, field))
        for field in ("board", "submission", "refused", "seed", "resamples", "hardware",
                      "wall_time_s", "metrics")
    ]  # fmt: skip
    return [
        f"{field} is {str(ours)[:100]!r} in the row, {str(theirs)[:100]!r} by the submission"
        for field, ours, theirs in pairs
        if ours != theirs
    ]


def _split(split: str, recorded: Result, found: Result) -> list[str]:
    if split not in found.splits or split not in recorded.splits:
        where = "the submission" if split in recorded.splits else "the row"
        return [f"{split}: not in {where}"]
    ours, theirs = recorded.splits[split], found.splits[split]
    said = [
        f"{split}: {field} is {getattr(ours, field)!r} in the row, but {getattr(theirs, field)!r}"
        for field in ("fingerprint", "neurons", "scored", "references", "protocol")
        if getattr(ours, field) != getattr(theirs, field)
    ]
    for metric in sorted({*ours.scores, *theirs.scores}):
        one, other = ours.scores.get(metric), theirs.scores.get(metric)
        if one is None or other is None:
            said.append(f"{split}: {metric} is only in {'the row' if one else 'the submission'}")
            continue
        if one.signature != other.signature:
            said.append(f"{split}: {metric} has the signature {one.signature!r} in the row, but "
                        f"{other.signature!r}")  # fmt: skip
        if one.n != other.n:
            said.append(f"{split}: {metric} has n {one.n} in the row, but {other.n}")
        scale = max(1.0, abs(other.value))
        for field in ("value", "low", "high"):
            a, b = getattr(one, field), getattr(other, field)
            if abs(a - b) > CHANGED * scale:
                said.append(f"{split}: {metric} {field} is {a:.6g} in the row, but {b:.6g}")
    return said


def _tables(recorded: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    keys = list(PER_NEURON_COLUMNS[:-1])
    both = [t.assign(unit=t["unit"].astype("int64")).set_index(keys) for t in (recorded, found)]
    ours, theirs = both
    if not ours.index.is_unique or set(ours.index) != set(theirs.index):
        return ["the per-neuron table has other neurons"]
    ours = ours.loc[theirs.index]
    said = []
    other = ours["description"] != theirs["description"]
    if other.any():
        first = " ".join(map(str, ours.index[other][0]))
        said.append(f"{int(other.sum())} descriptions differ, the first of {first}")
    for metric in sorted({*ours.columns, *theirs.columns} - {"description"}):
        if metric not in ours or metric not in theirs:
            said.append(f"the column {metric} is only in one of the per-neuron tables")
            continue
        a, b = (pd.to_numeric(t[metric], errors="coerce") for t in (ours, theirs))
        far = ~((a - b).abs() <= _OF_A_NEURON * b.abs().clip(lower=1.0)) & ~(a.isna() & b.isna())
        if far.any():
            worst = (a - b).abs()[far].max()
            size = "" if math.isnan(worst) else f", by up to {worst:.3g}"
            said.append(f"{metric}: {int(far.sum())} neurons' own values differ{size}")
    return said
