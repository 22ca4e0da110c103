"""Progress of long work, reported on standard error so that output can be piped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from milannotations.terminal import Console

# Seconds until a task's first line, and the longest gap between lines, up to which gaps double.
_FIRST_LINE, _LONGEST_GAP = 5.0, 60.0
_SPEED_PERIOD = 600.0  # seconds from which the time left is estimated


class ProgressLines(Progress):
    """Progress as occasional lines, where no bar can be drawn, as in a cluster's log or Jupyter.

    A task prints nothing in its first seconds; then the gaps between its lines grow to a minute.

    Args:
        amount: Formats a number of steps for people.
        write: Receives the lines; default standard error.
        **options: Options of ``rich.progress.Progress``.
    """

    def __init__(
        self,
        amount: Callable[[float], str] = "{:,.0f}".format,
        write: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(disable=True, speed_estimate_period=_SPEED_PERIOD, **options)
        self._amount = amount
        self._write = write or _to_stderr
        self._due: dict[TaskID, float] = {}

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, and write a line if one is due."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def update(self, task_id: TaskID, *args: Any, **changes: Any) -> None:
        """Change a task, and write a line if one is due."""
        super().update(task_id, *args, **changes)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        with self._lock:
            task = self._tasks.get(task_id)
            if task is None or task.elapsed is None:
                return
            elapsed, due = task.elapsed, self._due.get(task_id, _FIRST_LINE)
            last = task.finished and task_id in self._due and due != float("inf")
            if elapsed < due and not last:
                return
            gap = min(max(elapsed, _FIRST_LINE), _LONGEST_GAP)
            self._due[task_id] = float("inf") if task.finished else elapsed + gap
            self._write(self._line(task))

    def _line(self, task: Task) -> str:
        done = self._amount(task.completed)
        if task.total:
            share = f"{100 * task.completed / task.total:.0f} %"
            done = f"{done} of {self._amount(task.total)} ({share})"
        line = f"{task.description}: {done}, {_duration(task.elapsed or 0)} so far"
        if not task.finished and task.time_remaining is not None:
            line += f", about {_duration(task.time_remaining)} left"
        return line


def progress_bar() -> Progress:
    """Return the progress display of long work, for use in a ``with`` block.

    On a terminal it is a bar; elsewhere it is an occasional line.
    """
    return _bar(MofNCompleteColumn(), TimeElapsedColumn())


def byte_bar() -> Progress:
    """Return a progress display for transfers, which counts bytes."""
    return _bar(DownloadColumn(), TransferSpeedColumn(), amount=lambda count: decimal(int(count)))


def _bar(*columns: ProgressColumn, **options: Any) -> Progress:
    console = Console(stderr=True)
    if not console.is_interactive:
        return ProgressLines(**options, console=console)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def note(message: str) -> None:
    """Print a note of one line, even without a terminal."""
    Console(stderr=True).print(f"note: {message}", markup=False, highlight=False, soft_wrap=True)


def silence_libraries() -> None:
    """Turn off the progress bars of datasets and transformers, which flicker for milliseconds."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()


class Bar:
    """One task of a progress bar, for code that does not know the bar."""

    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def advance(self, count: int) -> None:
        """Advance by a number of steps."""
        self._progress.advance(self._task, count)

    def say(self, message: str) -> None:
        """Print a message above the bar, even without a terminal."""
        self._progress.console.print(message, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_task(title: str, total: int) -> Iterator[Bar]:
    """Show a progress bar of one task."""
    with progress_bar() as progress:
        yield Bar(progress, title, total)
