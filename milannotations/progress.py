"""How all long work reports: on standard error, so that output can be piped."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


def progress_bar() -> Progress:
    """Return a progress bar to use in a ``with`` block; silent where there is no terminal."""
    return _bar(MofNCompleteColumn(), TimeElapsedColumn())


def byte_bar() -> Progress:
    """Return the same for transfers, which counts bytes."""
    return _bar(DownloadColumn(), TransferSpeedColumn())


def _bar(*columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def note(message: str) -> None:
    """Tell the user something in one line, also where there is no terminal."""
    Console(stderr=True).print(f"note: {message}", markup=False, highlight=False, soft_wrap=True)


def silence_libraries() -> None:
    """Turn off the progress bars of datasets and transformers, which flicker for milliseconds."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()


class Bar:
    """One task of a progress bar, for code that knows nothing of the bar."""

    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def advance(self, count: int) -> None:
        """Move on."""
        self._progress.advance(self._task, count)

    def say(self, message: str) -> None:
        """Print a message above the bar, also where there is no terminal."""
        self._progress.console.print(message, markup=False, highlight=False, soft_wrap=True)
