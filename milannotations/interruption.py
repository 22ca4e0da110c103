"""Ctrl-C during long work: reports what is kept, so that the next run can continue from it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from milannotations.progress import note

_WAIT = b"\ninterrupted: finishing what is begun, to save it (Ctrl-C again stops at once)\n"
AGAIN = "run the same command again to go on with it"


@contextmanager
def saying_what_is_kept(what: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C ends the work inside the block, print one line that says what is kept.

    If several such blocks are nested, only the innermost one prints its line.

    Args:
        what: Called on Ctrl-C; returns a sentence without its full stop.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not getattr(interrupt, "told", False):
            note(f"interrupted; {what()}")
            interrupt.told = True  # type: ignore[attr-defined]
        raise


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Defer Ctrl-C while something must not be left half-done.

    A second Ctrl-C is not deferred. Outside the main thread, and where SIGINT is ignored or has
    another handler, nothing changes.

    Yields:
        A function that says whether Ctrl-C has been pressed; if so, the caller saves its work and
        raises KeyboardInterrupt.
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or before is not signal.default_int_handler:
        yield lambda: False
        return
    pressed = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _WAIT)  # safe in a handler

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def leave_to_parent(_worker: int = 0) -> None:
    """Ignore Ctrl-C in a process that reads images: its parent decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
