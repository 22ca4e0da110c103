"""Removing leftovers, each while its lock is held and after a second check."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, suppress

from milannotations.cleaning.leftovers import Kind, Leftover, locks_of, looked_at
from milannotations.storage.lock_files import LocksMissing
from milannotations.storage.locks import take_now


def remove(leftover: Leftover) -> str:
    """Remove a leftover; return why it stays, or an empty text.

    It is checked again under its lock, so that what a process has started to use since then stays.
    """
    with ExitStack() as stack:
        try:
            for path in locks_of(leftover):
                lock = take_now(path)
                if lock is None:
                    return "in use"
                stack.callback(lock.release)
            if leftover.kind is not Kind.LOCK and (reason := _removed(leftover)):
                return reason
        except LocksMissing:
            return "whether it is in use cannot be found out: its file system has no locks"
        except OSError as error:
            return f"cannot be removed ({error.strerror})"
    # Releasing a lock removes its file; the folder for locks of earlier versions may now be empty.
    if leftover.path.parent.name.startswith("milannotations-locks-"):
        with suppress(OSError):
            leftover.path.parent.rmdir()
    return ""


def _removed(leftover: Leftover) -> str:
    now = looked_at(leftover.path, holding=True)
    if now is None:
        return ""
    if not now.reason:
        if leftover.path.is_dir():
            shutil.rmtree(leftover.path)
        else:
            leftover.path.unlink()
    return now.reason
