"""The folders below ``MILANNOTATIONS_HOME``: configs, downloads and what is computed from them."""

from __future__ import annotations

import os
from pathlib import Path

from milannotations.errors import InputError

HOME_VARIABLE = "MILANNOTATIONS_HOME"


def home() -> Path:
    """Return the project's folder: ``$MILANNOTATIONS_HOME``, or below the user's cache folder.

    Raises:
        InputError: If it is below the user's home folder and that is not known.
    """
    if folder := os.environ.get(HOME_VARIABLE):
        return _expanded(folder)
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "milannotations"


def _expanded(folder: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:  # a user id without a name, and no HOME
        raise InputError(
            f"{folder}: the home folder of this user is not known; set HOME or {HOME_VARIABLE} to "
            "a folder"
        ) from error


def config_folder(config: str) -> Path:
    """Return the dataset folder of a config, whether or not it exists."""
    return home() / "configs" / config


def downloads() -> Path:
    """Return the folder of downloaded zips."""
    return home() / "downloads"


def make_folder(folder: Path) -> Path:
    """Create a folder, with its parents, and return it.

    Raises:
        InputError: If that is not possible, for instance on a read-only disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be created ({error.strerror}); set {HOME_VARIABLE} to a folder that "
            "can be written"
        ) from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder} cannot be written; set {HOME_VARIABLE} to a folder that can be")
    return folder
