"""Modules of a user's own: imported by name, and named as plugins of the registries."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from milannotations.errors import InputError, raised

PLUGINS_VARIABLE = "MILANNOTATIONS_PLUGINS"


def add_plugins(modules: Sequence[str]) -> None:
    """Name modules that add objects to registries, for this process and those that it starts."""
    named = [os.environ.get(PLUGINS_VARIABLE, ""), *modules]
    os.environ[PLUGINS_VARIABLE] = ",".join(filter(None, named))


def import_plugins() -> None:
    """Import the modules that ``--plugin`` and ``MILANNOTATIONS_PLUGINS`` name.

    Raises:
        InputError: If one cannot be imported.
    """
    for name in os.environ.get(PLUGINS_VARIABLE, "").split(","):
        if name.strip():
            import_named(name.strip(), f"plugin {name.strip()} cannot be imported:")


def import_named(name: str, failure: str) -> ModuleType:
    """Import a module that the user names; it is installed or lies in the working folder.

    Args:
        name: The module, as ``package.module``.
        failure: How the message begins if it cannot be imported; the exception and its line follow.

    Raises:
        InputError: If it cannot be imported.
    """
    # An installed command has its own folder on the path, not the one it is called from.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever runs when it is imported
        raise InputError(f"{failure} {raised(error)}") from error
