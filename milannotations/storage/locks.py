"""Keeping others from writing a target: each has a lock beside it while it is being written.

A thread that holds a target's lock may take it again, as functions that call each other do.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.progress import note
from milannotations.storage.failures import explained
from milannotations.storage.lock_files import LockFile, LocksMissing, holder, is_taken, take
from milannotations.storage.names import lock_file

_PATIENCE_S = 1.0  # before a waiting process says so, or gives up
_POLL_S = 0.05


@dataclass
class Hold:
    """A lock that a thread of this process holds.

    Attributes:
        path: The lock file's path.
        thread: The thread.
        file: The lock file; None where the file system has no locks.
        depth: How many times the thread has taken it.
        writing: Whether the temporary path beside the target is in use.
    """

    path: Path
    thread: int
    file: LockFile | None
    depth: int = 1
    writing: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether nobody else can write the target."""
        return self.file is not None


_HOLDS: dict[Path, Hold] = {}
_WARNED: set[int] = set()  # file systems


@contextmanager
def locked(target: Path, wait: bool = False, brief: bool = False) -> Iterator[Hold]:
    """Keep other processes, and other threads, from writing ``target``.

    The folder that contains ``target`` is created if it is missing. A thread that holds the lock
    gets it again. If the file system has no locks, a note says so once.

    Args:
        target: The file or folder to be written.
        wait: Wait, after saying so, for as long as another process holds the lock; the default is
            to give up after a second.
        brief: Do not record in the lock file which process holds it, since that takes longer than
            writing a small file.

    Raises:
        InputError: If another process is writing it, or its folder cannot be written to.
    """
    hold = _held(target, wait)
    if not brief and hold.file:
        hold.file.sign()
    try:
        yield hold
    finally:
        hold.depth -= 1
        if not hold.depth:
            _HOLDS.pop(hold.path, None)
            if hold.file:
                hold.file.release()


def take_now(path: Path) -> LockFile | None:
    """Take the lock at a lock file's path at once; None if this process or another holds it.

    Raises:
        OSError: If the file cannot be created or opened.
        LocksMissing: If the file system has no locks.
    """
    path = _absolute(path)
    return None if path in _HOLDS else take(path)


def is_held(path: Path) -> bool:
    """Say whether anyone holds the lock of a lock file; nothing is created or removed.

    Raises:
        OSError: If that cannot be determined.
    """
    path = _absolute(path)
    return path in _HOLDS or is_taken(path)


def _held(target: Path, wait: bool) -> Hold:
    path = _absolute(lock_file(target))
    hold = _HOLDS.get(path)
    if hold and hold.thread == threading.get_ident():
        hold.depth += 1
        return hold
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hold = _waited_for(target, path, wait)
    except LocksMissing as missing:
        _warn(target.parent, str(missing))
        hold = Hold(path, threading.get_ident(), None)
    except OSError as error:
        raise explained(error, target) or InputError(
            f"{shown(target)} cannot be written: {error}"
        ) from error
    _HOLDS[path] = hold
    return hold


def _waited_for(target: Path, path: Path, wait: bool) -> Hold:
    began, told = time.monotonic(), False
    while True:
        if path not in _HOLDS and (file := take(path)):
            return Hold(path, threading.get_ident(), file)
        if time.monotonic() - began > _PATIENCE_S:
            if not wait:
                raise InputError(
                    f"{shown(target)} is being written by another process{holder(path)}; wait "
                    "for it, or name another"
                )
            if not told:
                note(f"waiting for another process that writes {shown(target)}{holder(path)}")
                told = True
        time.sleep(_POLL_S)


def _warn(folder: Path, reason: str) -> None:
    if (device := folder.stat().st_dev) not in _WARNED:
        _WARNED.add(device)
        note(
            f"the file system of {shown(folder)} has no locks ({reason}): see to it that no two "
            "processes write the same target there"
        )


def _absolute(path: Path) -> Path:
    # Only the folder is resolved: its names are all one place, but a link is a separate target.
    return path.parent.resolve() / path.name


def _forget_in_child() -> None:
    """Make a forked process hold no locks: they are its parent's, and end with the parent."""
    for hold in _HOLDS.values():
        if hold.file:
            hold.file.forget()
    _HOLDS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
