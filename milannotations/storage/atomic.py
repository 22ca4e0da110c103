"""Files and folders that appear only once complete: written beside their target, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from milannotations.errors import InputError
from milannotations.file_names import shown
from milannotations.storage.exchange import exchange
from milannotations.storage.failures import explaining
from milannotations.storage.locks import Hold, locked
from milannotations.storage.names import (
    PARTIAL,
    old_folder,
    partial_path,
)
from milannotations.storage.targets import check_file, check_path, check_target, is_special
from milannotations.storage.tidying import recover, remove_partial

_UMASK = threading.Lock()
_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_FLUSHERS = 8  # files flushed at the same time: a disk handles many pending writes in one go


@contextmanager
def atomic_path(target: Path, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success, flush it and rename it to ``target``.

    On any exception, including Ctrl-C, the temporary file is removed and ``target`` stays as it
    was. Leftovers of a killed process are removed first. If another process is writing the same
    file, this one waits for it. A device or a pipe is written to directly.

    Args:
        target: The file to write.
        alone: Yield a path in a separate folder, for libraries that write temporary files
            themselves: safetensors leaves ``.tmp…`` beside its file if its process is killed.

    Raises:
        InputError: If the file cannot be written, or the disk is full.
    """
    check_path(target)
    if is_special(target):
        with explaining(target):
            yield target
        return
    if not target.parent.is_dir():
        raise InputError(
            f"{shown(target)} cannot be written: folder {shown(target.parent)} does not exist"
        )
    with explaining(target), locked(target, wait=True, brief=True) as hold, _in_use(hold, target):
        folder = _new_folder(target, hold) if alone else None
        temporary = folder / target.name if folder else _new_file(target, hold)
        try:
            yield temporary
            _apply_umask(temporary, 0o666)
            _flush(temporary)
            temporary.replace(target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def reserved_file(target: Path, overwrite: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file during the long work that ends in ``atomic_path``.

    Without it, two processes that both found no such file would overwrite each other's result.

    Raises:
        InputError: As in ``check_file``; or if another process is writing the file.
    """
    check_file(target, overwrite)
    if is_special(target):
        yield
        return
    with locked(target):
        check_file(target, overwrite)  # another process may have finished in between
        yield


@contextmanager
def atomic_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; on success, flush it and rename it to ``target``.

    Leftovers of killed processes are removed first, and a folder that one of them was replacing
    is put back.

    Raises:
        InputError: At once, if ``target`` exists and ``overwrite`` is not set, or if it is a file,
            is being written by another process or cannot be written; later, if the disk is full.
    """
    target = real_folder(target)
    with explaining(target), locked(target) as hold, _in_use(hold, target):
        recover(target, hold)
        check_target(target, overwrite)
        temporary = _new_folder(target, hold)
        try:
            yield temporary
            _apply_umask(temporary, 0o777)
            put_in_place(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def real_folder(target: Path) -> Path:
    """Return the folder that a link leads to, since replacing that folder keeps the link.

    Raises:
        InputError: If the path cannot exist, or is a link that leads nowhere.
    """
    check_path(target)
    linked = target.is_symlink() and target.is_dir()
    return target.resolve() if linked or target.name in ("", "..") else target


def put_in_place(finished: Path, target: Path) -> None:
    """Flush a finished folder and rename it to its target, which may exist."""
    _flush_all(finished)
    if not target.exists():
        finished.replace(target)
    else:
        # The inode in the name shows `recover` how far a killed process got.
        old = old_folder(target, finished.lstat().st_ino)
        finished.replace(old)
        exchanged = False
        try:
            exchanged = exchange(old, target)
        finally:
            if not exchanged:
                old.replace(finished)
        if not exchanged:
            # Two renames instead: between them, the target does not exist.
            target.replace(old)
            finished.replace(target)
        shutil.rmtree(old)


@contextmanager
def _in_use(hold: Hold, target: Path) -> Iterator[None]:
    """Refuse a second use, by the same thread, of the one temporary path beside a target."""
    if hold.writing:
        raise InputError(f"{shown(target)} is being written by another process, or by this one")
    hold.writing = True
    try:
        yield
    finally:
        hold.writing = False


def _new_file(target: Path, hold: Hold) -> Path:
    if not hold.exclusive:
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL
        )
        os.close(handle)
        return Path(name)
    remove_partial(target)
    temporary = partial_path(target)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return temporary


def _new_folder(target: Path, hold: Hold) -> Path:
    if not hold.exclusive:
        return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=PARTIAL))
    remove_partial(target)
    temporary = partial_path(target)
    temporary.mkdir(mode=0o700)
    return temporary


def _flush_all(folder: Path) -> None:
    """Flush all files of a folder to the disk, so that a power cut leaves none of them empty."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    with ThreadPoolExecutor(_FLUSHERS) as pool:
        list(pool.map(_flush, [*paths, folder]))


def _flush(path: Path) -> None:
    # What cannot be flushed (folders on Windows, some network drives) is left to the system.
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _LOST:
            raise
    finally:
        os.close(descriptor)


def _apply_umask(path: Path, mode: int) -> None:
    """Give a path the permissions of a file written directly; temporary files have 0600."""
    # The mask belongs to the process: of two threads here at once, one would read the other's 0.
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    path.chmod(mode & ~mask)
