"""The user's own modules: they are imported by name and may add objects to the registries."""

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
    """Add modules to ``MILANNOTATIONS_PLUGINS``, for this process and the processes it starts."""
    named = [os.environ.get(PLUGINS_VARIABLE, ""), *modules]
    os.environ[PLUGINS_VARIABLE] = ",".join(filter(None, named))


def import_plugins() -> None:
    """Import the modules that ``MILANNOTATIONS_PLUGINS`` names.

    Raises:
        InputError: If a module cannot be imported.
    """
    for name in os.environ.get(PLUGINS_VARIABLE, "").split(","):
        if name.strip():
            import_named(name.strip(), f"plugin {name.strip()} cannot be imported:")


def import_named(name: str, failure: str) -> ModuleType:
    """Import one of the user's own modules, either installed or in the working folder.

    Args:
        name: The module, as ``package.module``.
        failure: Beginning of the error message, to which the exception and its line are added.

    Raises:
        InputError: If the module cannot be imported.
    """
    # The search path of an installed command does not include the working folder.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the module may raise anything
        raise InputError(f"{failure} {raised(error)}") from error
