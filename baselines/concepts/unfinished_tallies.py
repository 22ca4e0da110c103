"""Unfinished tallies: one folder for each set of layers that are counted together.

They are in the hidden folder beside the tallies, so that an incomplete one is never taken for a
tally. Every function must be called with the lock of the tallies.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.storage import atomic_path, unfinished_folder
from milannotations.storage.resumable import remove_dead

_LAYERS = "layers.json"  # in each folder: which layers are counted there


def begun(target: Path, wanted: Sequence[str]) -> list[str]:
    """Return the layers of unfinished work that includes all wanted layers; else the wanted layers.

    A run that was killed while it saved its tallies had counted more layers than are now missing.
    """
    for folder in _folders(target):
        layers = _layers_of(folder)
        if layers and set(wanted) <= set(layers):
            return layers
    return list(wanted)


def begin(target: Path, layers: Sequence[str]) -> Path:
    """Return the folder for work on some layers, with the files of an interrupted run."""
    name = hashlib.sha256("\n".join(layers).encode()).hexdigest()[:12]
    folder = unfinished_folder(target) / name
    folder.mkdir(parents=True, exist_ok=True)
    remove_dead(folder)
    if _layers_of(folder) != list(layers):
        with atomic_path(folder / _LAYERS) as path:
            path.write_text(json.dumps(list(layers)), encoding="utf-8")
    return folder


def remove_finished(target: Path, is_counted: Callable[[str], bool]) -> None:
    """Remove work on layers that are all counted, and work that was never begun."""
    for folder in _folders(target):
        if all(map(is_counted, _layers_of(folder))):
            shutil.rmtree(folder)
    with suppress(OSError):  # there is none, or other layers are being counted
        unfinished_folder(target).rmdir()


def _folders(target: Path) -> list[Path]:
    work = unfinished_folder(target)
    return sorted(path for path in work.iterdir() if path.is_dir()) if work.is_dir() else []


def _layers_of(folder: Path) -> list[str]:
    """Return which layers are counted in a folder; none if they were not recorded yet."""
    try:
        return [str(layer) for layer in read_json(folder / _LAYERS, list)]
    except InputError:
        return []
