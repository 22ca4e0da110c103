"""Writing so that nothing half-written is ever taken for complete."""

from __future__ import annotations

import errno
import getpass
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from milannotations.errors import InputError
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.pictures.names import shown, utf8
from milannotations.progress import note

_STATE = "unfinished.json"
_UMASK = threading.Lock()


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it to ``target`` on success.

    On any exception, Ctrl-C included, the temporary file is removed and ``target`` is left as
    it was.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _apply_umask(temporary, 0o666)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``target``; rename it to ``target`` on success.

    Raises:
        InputError: At once, if ``target`` exists and ``overwrite`` is not set, or is a file.
    """
    check_target(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    )
    try:
        yield temporary
        _apply_umask(temporary, 0o777)
        _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumable_folder(
    target: Path, identity: Mapping[str, Any], overwrite: bool = False
) -> Iterator[Path]:
    """Give a working folder beside ``target`` that outlives an interruption; rename on success.

    Whoever uses it writes each file atomically and skips the files that are there already.

    Args:
        target: The folder to be.
        identity: What the work is made from and how, as JSON; unfinished work is gone on with
            only if it says the same, and is thrown away otherwise.
        overwrite: Replace ``target`` if it exists.

    Raises:
        InputError: If ``target`` exists and ``overwrite`` is not set, if another process is
            writing it, or if the disk is full.
    """
    check_target(target, overwrite)
    work = unfinished_folder(target)
    with locked(target):
        state = work / _STATE
        others = work.is_dir() and any(path.name != _STATE for path in work.iterdir())
        if not state.is_file() or state.read_text(encoding="utf-8") != _as_json(identity):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            with atomic_path(state) as path:
                path.write_text(_as_json(identity), encoding="utf-8")
            if others:
                note(f"{work} held unfinished work on something else; it begins anew")
        elif others:
            note(f"going on with the unfinished work in {work}")
        for partial in work.rglob(".*.partial"):  # left by a process that was killed
            partial.unlink()
        notice = f"what was finished is kept in {work}: {AGAIN}"
        with saying_what_is_kept(lambda: notice):
            yield work
        state.unlink()
        _put_in_place(work, target)


def unfinished_folder(target: Path) -> Path:
    """Return the folder beside ``target`` that holds unfinished work on it."""
    return target.parent / f".{target.name}.unfinished"


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Keep other processes from writing ``target``, whose folder is made, for the time being.

    Raises:
        InputError: If another process is writing it, or if the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(_lock_of(target))
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{target} is being written by another process; wait for it") from None
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error}") from error
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise InputError(
                f"no room to write {target}: {error.strerror}. What was finished is kept: make "
                "room and run the same command again"
            ) from error
        raise
    finally:
        lock.release()


def check_target(target: Path, overwrite: bool = False) -> None:
    """Raise InputError if ``target`` cannot be written, is a file, or a folder that is not empty.

    Args:
        target: The folder to write.
        overwrite: Let it be replaced.
    """
    name = str(target.absolute())
    if utf8(name) != name:
        raise InputError(
            f"{shown(name)} is not UTF-8, and Parquet files cannot be written there; choose another"
        )
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder to write")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"{target} exists and is not empty; choose another or pass --overwrite")


def check_file(target: Path, overwrite: bool = False) -> None:
    """Raise InputError if a file cannot be written, or would replace another unasked.

    What is no regular file, such as ``/dev/stdout``, is written to as it is.
    """
    if target.is_dir():
        raise InputError(f"{target} is a folder; name a file to write")
    if not target.parent.is_dir():
        raise InputError(f"folder {target.parent} of --out does not exist")
    if target.is_file() and not overwrite:
        raise InputError(f"{target} exists; choose another or pass --overwrite")


def _lock_of(target: Path) -> Path:
    # Not beside the target: a lock file must stay when the lock is released, as deleting it would
    # let two others hold "the" lock at once.
    folder = Path(tempfile.gettempdir()) / f"milannotations-locks-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / hashlib.sha256(os.fsencode(target.resolve())).hexdigest()[:32]


def _as_json(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, indent=1, sort_keys=True)


def _put_in_place(finished: Path, target: Path) -> None:
    """Rename a finished folder to its target, which may exist."""
    if not target.exists():
        finished.replace(target)
        return
    # A folder cannot be replaced in one step: the old one is moved aside first, so that a crash
    # in between loses neither.
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old"))
    target.replace(old)
    finished.replace(target)
    shutil.rmtree(old)


def _apply_umask(path: Path, mode: int) -> None:
    """Give a path the permissions it would have had without a temporary file (those are 0600)."""
    # The mask belongs to the process: of two threads at once, one would read the other's 0.
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    path.chmod(mode & ~mask)
