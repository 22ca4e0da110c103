"""Writing so that nothing half-written is ever taken for complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from milannotations.errors import InputError


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
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; name a folder to write")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InputError(f"{target} exists and is not empty; choose another or pass --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(
        tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    )
    try:
        yield temporary
        _apply_umask(temporary, 0o777)
        if target.exists():
            # A folder cannot be replaced in one step: the old one is moved aside first, so
            # that a crash in between loses neither.
            old = Path(
                tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old")
            )
            target.replace(old)
            temporary.replace(target)
            shutil.rmtree(old)
        else:
            temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _folder_beside(target: Path, suffix: str) -> Path:
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=suffix))


def _apply_umask(path: Path, mode: int) -> None:
    """Give a path the permissions it would have had without a temporary file (those are 0600)."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(mode & ~mask)
