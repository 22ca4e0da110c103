"""``load_dataset("milannotations", config)`` from anywhere, after ``milannotations.register()``.

From version 4 on, ``datasets`` runs no loading scripts, and it has no public way to add a builder.
This module therefore uses two of its private names: the table of packaged builders, and the step
that looks for data files in the working folder, which is skipped for our name alone. It checks that
both exist. ``milannotations.load`` does the same by public means.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import datasets
from datasets import load as hf_load
from datasets import packaged_modules
from datasets.data_files import DataFilesDict

from milannotations import builder
from milannotations.errors import InputError

_TABLE = "_PACKAGED_DATASETS_MODULES"
_FACTORY = "PackagedDatasetModuleFactory"
_original_get_module: Any = None


def register() -> None:
    """Make ``load_dataset("milannotations", "alexnet-imagenet")`` work from any folder.

    The registration lasts as long as the process, and registering again has no effect. It hides a
    folder named ``milannotations`` in the working folder: write ``./milannotations`` for that one.

    Raises:
        InputError: If this version of ``datasets`` does not have the private names that this needs.
    """
    global _original_get_module
    table = _attribute(packaged_modules, _TABLE)
    factory = _attribute(hf_load, _FACTORY)
    module = _attribute(hf_load, "DatasetModule")
    if not (
        isinstance(table, dict)
        and _attribute(hf_load, _TABLE) is table
        and hasattr(factory, "get_module")
        and module is not None
    ):
        raise InputError(
            f"datasets {datasets.__version__} has changed inside, and register() cannot work with "
            "it; use milannotations.load(name) instead"
        )
    digest = hashlib.sha256(Path(builder.__file__).read_bytes()).hexdigest()
    if _original_get_module is None:
        _original_get_module = original = factory.get_module

        def get_module(self: Any) -> Any:
            if self.name != builder.NAME:
                return original(self)
            if self.data_files is not None or self.data_dir is not None:
                raise InputError(
                    "milannotations takes neither data_files nor data_dir; its configs lie in "
                    "$MILANNOTATIONS_HOME"
                )
            return module(
                builder.__name__,
                digest,
                {"data_files": DataFilesDict(), "dataset_name": builder.NAME},
            )

        factory.get_module = get_module
    table[builder.NAME] = (builder.__name__, digest)


def unregister() -> None:
    """Undo ``register()``."""
    global _original_get_module
    if _original_get_module is not None:
        getattr(hf_load, _FACTORY).get_module = _original_get_module
        _original_get_module = None
    table = getattr(packaged_modules, _TABLE)
    table.pop(builder.NAME, None)


def _attribute(module: Any, name: str) -> Any:
    """Return an attribute of unknown type, or None if the module does not have it."""
    return getattr(module, name, None)
