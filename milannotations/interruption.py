"""Ctrl-C in the middle of long work: what is kept, and that the next run goes on with it."""

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
    """When Ctrl-C ends the work inside, say what of it is kept, in one line.

    Of several such blocks around the same work the innermost one speaks.

    Args:
        what: Called then; returns a sentence without its full stop.
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
    """Hold Ctrl-C back while something must not be left half-done.

    Gives:
        What says whether Ctrl-C has been pressed; whoever asks then saves, and raises
        KeyboardInterrupt. A second Ctrl-C is not held back. Outside the main thread, and where
        interruptions are ignored or handled by others, nothing is changed.
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
    """Ignore Ctrl-C in a process that reads images: its parent decides when to end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
