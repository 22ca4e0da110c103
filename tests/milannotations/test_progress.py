"""Lines of progress where there is no terminal, and what Ctrl-C says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from milannotations.errors import InputError
from milannotations.interruption import held_back, saying_what_is_kept
from milannotations.progress import ProgressLines, byte_bar, progress_bar
from milannotations.storage import resumable_folder


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _lines(seconds_a_step: float, total: int, start: int = 0) -> list[str]:
    clock, lines = Clock(), list[str]()
    with ProgressLines(write=lines.append, get_time=clock) as progress:
        task = progress.add_task("Running the network", total=total)
        progress.advance(task, start)
        for _ in range(total - start):
            clock.now += seconds_a_step
            progress.advance(task, 1)
    return lines


def test_a_line_every_so_often() -> None:
    lines = _lines(1.0, 200)
    at = [int(line.split(": ")[1].split(" ")[0]) for line in lines]
    assert at == [5, 10, 20, 40, 80, 140, 200]
    assert lines[0] == "Running the network: 5 of 200 (2 %), 0:00:05 so far, about 0:03:15 left"
    assert lines[-1] == "Running the network: 200 of 200 (100 %), 0:03:20 so far"


def test_short_work_says_nothing_and_long_steps_each_a_line() -> None:
    assert _lines(0.01, 100) == []
    assert len(_lines(90.0, 4)) == 4


def test_work_that_goes_on_is_not_taken_for_fast() -> None:
    # 900 of 1,000 were done before: 95 are left after five seconds, at one a second.
    assert "about 0:01:35 left" in _lines(1.0, 1000, start=900)[0]


def test_several_tasks_descriptions_and_unknown_totals() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(write=lines.append, get_time=clock)
    one, other = progress.add_task("Reading", total=None), progress.add_task("Writing", total=2)
    clock.now = 6
    progress.update(one, advance=3, description="Reading: loss .5")
    clock.now = 7
    progress.advance(other, 2)
    assert lines == [
        "Reading: loss .5: 3, 0:00:06 so far",
        "Writing: 2 of 2 (100 %), 0:00:07 so far",
    ]
    progress.advance(other, 0)
    assert len(lines) == 2


def test_lines_go_to_standard_error_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for make, expected in ((progress_bar, "2,000 of 4,000"), (byte_bar, "2.0 kB of 4.0 kB")):
        progress = make()
        assert isinstance(progress, ProgressLines)
        task = progress.add_task("Work", total=4000)
        progress.tasks[0].start_time = progress.get_time() - 10
        progress.advance(task, 2000)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"Work: {expected} (50 %), 0:00:10 so far" in shown.err


@pytest.fixture
def _foreground() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _press(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("_foreground")
def test_ctrl_c_waits_until_it_is_asked_for_and_a_second_one_does_not() -> None:
    with held_back() as pressed:
        assert not pressed()
        _press()
        assert pressed()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt), held_back():
        _press(2)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_of_others_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_back() as pressed:
            _press()
            assert not pressed()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    said: list[bool] = []

    def elsewhere() -> None:
        with held_back() as pressed:
            said.append(pressed())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == [False]


def test_the_innermost_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        saying_what_is_kept(lambda: "outer"),
        saying_what_is_kept(lambda: "3 images are kept"),
    ):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "note: interrupted; 3 images are kept\n"


def test_a_folder_that_outlives_an_interruption_says_so_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, work = tmp_path / "out", tmp_path / ".out.unfinished"

    def attempt(identity: int, action: Callable[[Path], None]) -> str:
        try:
            with resumable_folder(target, {"seed": identity}) as folder:
                action(folder)
        except (KeyboardInterrupt, InputError):
            pass
        return " ".join(capsys.readouterr().err.split())

    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    kept = f"note: interrupted; what was finished is kept in {work}: run the same command again"
    assert attempt(1, interrupted).startswith(kept)
    assert attempt(1, interrupted).startswith(f"note: going on with the unfinished work in {work}")
    assert "held unfinished work on something else; it begins anew" in attempt(2, interrupted)
    assert "going on" in attempt(2, lambda folder: None)
    assert (target / "half").exists()
