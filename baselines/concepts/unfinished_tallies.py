"""Unfinished tallies: one folder for each set of layers that is counted in one go.

They lie in the hidden folder beside the tallies, so that no half of one is taken for a tally. Every
function is called by the holder of the tallies' lock.
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


def begun(place: Path, wanted: Sequence[str]) -> list[str]:
    """Return the layers of unfinished work that has all the wanted ones; else the wanted ones.

    A run that was killed while it saved its tallies has counted more layers than are missing.
    """
    for folder in _folders(place):
        layers = _layers_of(folder)
        if layers and set(wanted) <= set(layers):
            return layers
    return list(wanted)


def begin(place: Path, layers: Sequence[str]) -> Path:
    """Return the folder for work on some layers, with what an interrupted run has left in it."""
    name = hashlib.sha256("\n".join(layers).encode()).hexdigest()[:12]
    folder = unfinished_folder(place) / name
    folder.mkdir(parents=True, exist_ok=True)
    remove_dead(folder)
    if _layers_of(folder) != list(layers):
        with atomic_path(folder / _LAYERS) as path:
            path.write_text(json.dumps(list(layers)), encoding="utf-8")
    return folder


def remove_finished(place: Path, is_counted: Callable[[str], bool]) -> None:
    """Remove the work on layers that are all counted, and work that had not begun."""
    for folder in _folders(place):
        if all(map(is_counted, _layers_of(folder))):
            shutil.rmtree(folder)
    with suppress(OSError):  # there is none, or other layers are being counted
        unfinished_folder(place).rmdir()


def _folders(place: Path) -> list[Path]:
    work = unfinished_folder(place)
    return sorted(path for path in work.iterdir() if path.is_dir()) if work.is_dir() else []


def _layers_of(folder: Path) -> list[str]:
    """Return which layers are counted in a folder; none if that was not written yet."""
    try:
        return [str(layer) for layer in read_json(folder / _LAYERS, list)]
    except InputError:
        return []
