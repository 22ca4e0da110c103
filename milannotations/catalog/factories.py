"""Networks that a function of the user's own makes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from torch import nn

from milannotations.errors import InputError, did_you_mean, raised

HOW = "write it as package.module:factory"


def call_factory(spec: str) -> Any:
    """Call the function that a spelling ``package.module:factory`` names, and return its value.

    The module may be installed or lie in the working folder.

    Raises:
        InputError: If there is no such function, or it cannot be called without arguments, or it
            raises anything: names it, the exception and the line.
    """
    path, _, attribute = spec.partition(":")
    if not path or path.startswith(".") or not attribute:
        raise InputError(f"model {spec!r}; {HOW}")
    # An installed command has its own folder on the path, not the one it is called from.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(path)
    except (Exception, SystemExit) as error:  # whatever runs when it is imported
        raise InputError(f"model {spec!r}: module {path} raises {raised(error)}") from error
    factory = getattr(module, attribute, None)
    if factory is None:
        names = [name for name in dir(module) if not name.startswith("_")]
        raise InputError(
            f"model {spec!r}: module {path} has no attribute {attribute!r}"
            f"{did_you_mean(attribute, names)} (it is {getattr(module, '__file__', 'built in')})"
        )
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InputError(f"model {spec!r} is a {type(factory).__name__}, not a function; {HOW}")
    try:
        return factory()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise InputError(f"model {spec!r}: {attribute} raises {raised(error)}") from error
