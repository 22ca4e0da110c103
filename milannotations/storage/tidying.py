"""Removing what killed processes have left beside a target that is complete.

Unfinished work stays, since it can be resumed, unless it records which folder it has become.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.progress import note
from milannotations.storage.locks import Hold, locked
from milannotations.storage.names import (
    lock_file,
    old_folders,
    partial_path,
    state_file,
    unfinished_folder,
)

_PLACED = "placed"  # file in unfinished work: the inode number of the folder it has become


def recover(target: Path, hold: Hold) -> None:
    """Undo or complete the replacement of a folder during which a process was killed."""
    if not hold.exclusive:
        return
    for old, inode in old_folders(target):
        if not target.exists():
            old.replace(target)
            note(f"{shown(target)} was being replaced when a process was killed; it is put back")
        elif old.lstat().st_ino == inode:
            _take_back(old, target)
        elif target.lstat().st_ino == inode:
            shutil.rmtree(old)
        else:
            note(
                f"{shown(old)} is what was at {shown(target)} when a process was killed, and "
                "something else has been put there since; look at it, and remove it"
            )


def _take_back(finished: Path, target: Path) -> None:
    """Take back a finished folder that had not yet changed places with its target."""
    if state_file(target).is_file() and not unfinished_folder(target).exists():
        finished.replace(unfinished_folder(target))  # to be resumed
    else:
        shutil.rmtree(finished)


def remove_partial(target: Path) -> None:
    """Remove what a killed process has left of a target; the caller holds its lock."""
    partial = partial_path(target)
    if partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)


def mark_placed(work: Path, finished: Path) -> None:
    """Record in unfinished work that a folder about to be renamed holds all of it."""
    if work.is_dir():
        (work / _PLACED).write_text(str(finished.lstat().st_ino), encoding="ascii")


def discard_work(target: Path) -> None:
    """Remove unfinished work on a target, whose lock the caller holds.

    A process killed midway leaves either all of the work, or only what any later run removes.
    """
    work = unfinished_folder(target)
    if work.is_dir():
        remove_partial(target)
        work.replace(partial_path(target))
        remove_partial(target)


def tidy_up(target: Path) -> None:
    """Remove what killed processes have left of a target, if it is complete and not in use.

    It raises no errors: what cannot be removed stays, for ``milannotations clean`` to list.
    """
    beside = (lock_file(target), partial_path(target), state_file(target))
    work = unfinished_folder(target)
    try:
        left = [path for path in (*beside, work) if path.exists()] or old_folders(target)
        if left and target.exists():
            with locked(target) as hold:
                if hold.exclusive:
                    _remove(target, work, hold)
    except (OSError, InputError):
        return


def _remove(target: Path, work: Path, hold: Hold) -> None:
    recover(target, hold)
    remove_partial(target)
    if not work.is_dir():
        state_file(target).unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        if (work / _PLACED).read_text(encoding="ascii") == str(target.lstat().st_ino):
            discard_work(target)
