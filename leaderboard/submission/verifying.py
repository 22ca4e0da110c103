"""Verifying a row: computing it again from its submission, and comparing the two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.harness import Notify
from benchmark.per_neuron import KEYS
from benchmark.result import Result, leaves, read_result
from benchmark.result_files import compare_result_files
from leaderboard.definition import CHANGED, BoardDefinition
from leaderboard.submission.checking import CheckedSubmission
from leaderboard.submission.scoring import score_submissions
from milannotations.errors import InputError

_NEURON_TOLERANCE = 1e-3  # by which one neuron's value may differ when it is computed again


def differences(
    result: Path,
    checked: CheckedSubmission,
    board: BoardDefinition,
    device: Any = "cpu",
    notify: Notify = lambda _: None,
    rescore: Callable[..., Any] = score_submissions,
) -> tuple[list[str], list[str]]:
    """Compute a row again from its submission, and compare.

    Args:
        result: The row's JSON, with its per-neuron table beside it.
        checked: The submission.
        board: The board it is for.
        device: Where encoders run.
        notify: Called with a line before each long step.
        rescore: The function that computes it.

    Returns:
        A line for each difference, none if the row is what the submission scores; and remarks on
        what does not count as a difference, such as other versions of libraries.

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


# Fields that a submission does not determine: versions give remarks, and the table is compared on
# its own.
_EXCLUDED = {"schema_version", "table", "versions"}
_MEASURED = ("value", "low", "high")


def _fields(recorded: Result, rescored: Result) -> Iterator[str]:
    """Yield every field that differs, numbers by more than rounding on another machine does."""
    plain = [r.model_dump(mode="json", exclude=_EXCLUDED) for r in (recorded, rescored)]
    for split in dict.fromkeys((*recorded.splits, *rescored.splits)):
        sides: list[Any] = [side["splits"].get(split) for side in plain]
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
    ours, theirs = (dict(leaves(side)) for side in plain)
    for field in dict.fromkeys((*ours, *theirs)):
        own, other = ours.get(field), theirs.get(field)
        if own != other and not _unrecorded(field, own) and not _rounded(field, own, other):
            yield f"{field} is {_shown(own)} in the row, but {_shown(other)} by the submission"


def _where(sides: Sequence[Any]) -> str:
    return "the submission" if sides[0] is None else "the row"


def _unrecorded(field: str, value: Any) -> bool:
    """Return whether older versions did not write a field."""
    return (field.endswith(".mean") and value is None) or (
        field.endswith(".config") and value == ""
    )


def _rounded(field: str, own: Any, other: Any) -> bool:
    if field.rpartition(".")[2] not in _MEASURED or not field.startswith("splits."):
        return False
    if not all(isinstance(side, (int, float)) for side in (own, other)):
        return False
    return abs(own - other) <= CHANGED * max(1.0, abs(other))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:100]


def _tables(recorded: pd.DataFrame, rescored: pd.DataFrame) -> list[str]:
    ours, theirs = (table.set_index(list(KEYS)) for table in (recorded, rescored))
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
        far = ~((a - b).abs() <= _NEURON_TOLERANCE * b.abs().clip(lower=1.0)) & ~(
            a.isna() & b.isna()
        )
        if far.any():
            worst = (a - b).abs()[far].max()
            size = "" if math.isnan(worst) else f", by up to {worst:.3g}"
            remarks.append(f"{metric}: {int(far.sum())} neurons' own values differ{size}")
    return remarks
