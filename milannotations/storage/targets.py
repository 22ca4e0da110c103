"""Checking a target before long work: whether it can be written, and may be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from milannotations.errors import InputError
from milannotations.file_names import shown, utf8
from milannotations.storage.failures import explained
from milannotations.storage.names import partial_path
from milannotations.storage.tidying import tidy_up


def check_target(target: Path, overwrite: bool = False) -> None:
    """Raise InputError if ``target`` cannot be written, is a file, or is a non-empty folder.

    Args:
        target: The folder to write.
        overwrite: Allow a non-empty folder to be replaced.
    """
    name = str(target.absolute())
    if utf8(name) != name:
        raise InputError(
            f"{shown(name)} is not UTF-8, and Parquet files cannot be written there; choose another"
        )
    check_folder(target)
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        tidy_up(target)
        raise InputError(f"{target} exists and is not empty; choose another or pass --overwrite")
    if os.path.ismount(target):
        raise InputError(
            f"a disk is mounted at {target}, which cannot be replaced; name a folder in it, such "
            f"as {target / 'out'}"
        )
    _check_name(target)
    # A folder is written beside its real location, whichever links lead there.
    _check_writable(target.resolve().parent, target)


def check_file(target: Path, overwrite: bool = False) -> None:
    """Raise InputError if a file cannot be written, or would replace another without permission.

    Anything that is not a regular file, such as ``/dev/stdout``, is written to directly.
    """
    check_path(target)
    if target.is_dir():
        raise InputError(f"{target} is a folder; name a file to write")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; create it first")
    if target.is_file() and not overwrite:
        tidy_up(target)
        raise InputError(f"{target} exists; choose another or pass --overwrite")
    if not is_special(target):
        _check_name(target)
        _check_writable(target.parent, target)


def check_folder(folder: Path) -> None:
    """Raise InputError if files cannot be put into a folder, which need not exist yet."""
    check_path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write")
    _check_writable(folder, folder)


def check_outputs(folder: Path | None, *files: Path | None) -> None:
    """Raise InputError if results cannot be written into a folder, or to one of some files.

    Args:
        folder: Folder for results, which need not exist yet; None for no folder.
        *files: Files, which are overwritten if they exist; None is skipped.
    """
    if folder is not None:
        check_folder(folder)
    for file in files:
        if file is not None:
            check_file(file, overwrite=True)


def is_special(target: Path) -> bool:
    """Say whether a target is a device or a pipe, which is written to and not replaced."""
    return target.exists() and not target.is_file() and not target.is_dir()


def check_path(target: Path) -> None:
    """Raise InputError if a path cannot exist, or is a link that leads nowhere."""
    try:
        target.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        if sentence := explained(error, target):
            raise sentence from error
        raise
    if target.is_symlink() and not target.exists():
        raise InputError(
            f"{shown(target)} is a link to {shown(target.readlink())}, which does not exist; "
            "remove the link, or name another"
        )


def _check_name(target: Path) -> None:
    try:
        partial_path(target).lstat()
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and (sentence := explained(error, target)):
            raise sentence from error


def _check_writable(folder: Path, target: Path) -> None:
    """Try to write in a folder, or in its nearest existing parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # Checking permissions is not enough: root has them even on a network drive that refuses
        # writes. On Linux this file never has a name, so a killed process leaves nothing behind.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = None  # a random name: what the user cannot write is the target
        raise explained(error, target) or InputError(
            f"{target} cannot be written: {error}"
        ) from error
