"""Consent to networks whose loading runs code, if a record names them.

A dataset's record names its network. ``hub:…`` and ``package.module:factory`` run the code that
they name, and a record may come from anyone. Such a network is therefore loaded only if its name
was typed on this machine before, as ``milannotations build --model`` or as an explicit option.
"""

from __future__ import annotations

import json
from pathlib import Path

from milannotations.data_home import home, make_folder
from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.reading import is_there
from milannotations.storage import atomic_path, locked

_WITHOUT_CODE = ("timm", "hf", "torchvision")


def runs_code(spec: str) -> bool:
    """Return whether loading a model of that name runs code other than that of installed libraries.

    >>> runs_code("timm:resnet18"), runs_code("resnet18"), runs_code("my.package:make")
    (False, False, True)
    """
    kind, colon, _ = spec.partition(":")
    return bool(colon) and kind not in _WITHOUT_CODE


def give_consent(spec: str) -> None:
    """Remember that the user of this machine named a model whose loading runs code."""
    if not runs_code(spec) or has_consent(spec):
        return
    try:
        make_folder(home())
    except InputError:
        return  # the home folder is read-only: the user will be asked to name the model again
    with locked(_place(), wait=True):
        specs = sorted({*_read(), spec})
        with atomic_path(_place()) as path:
            path.write_text(json.dumps(specs, indent=1) + "\n", encoding="utf-8")


def has_consent(spec: str) -> bool:
    """Return whether a model may be loaded because a record names it."""
    return not runs_code(spec) or spec in _read()


def _place() -> Path:
    return home() / "code-models.json"


def _read() -> list[str]:
    if not is_there(_place()):
        return []
    return [str(spec) for spec in read_json(_place(), list, remedy="delete it")]
