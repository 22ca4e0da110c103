"""Networks that a user's own function constructs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from milannotations.errors import InputError, did_you_mean, raised
from milannotations.plugins import import_named

HOW = "write it as package.module:factory"


def factory_of(spec: str) -> Callable[[], Any]:
    """Return the function that ``package.module:factory`` names.

    The module may be installed or in the working folder.

    Raises:
        InputError: If the module cannot be imported, or has no such function: names the exception
            and the line.
    """
    path, _, attribute = spec.partition(":")
    if not path or path.startswith(".") or not attribute:
        raise InputError(f"model {spec!r}; {HOW}")
    module = import_named(path, f"model {spec!r}: module {path} raises")
    factory = getattr(module, attribute, None)
    if factory is None:
        names = [name for name in dir(module) if not name.startswith("_")]
        raise InputError(
            f"model {spec!r}: module {path} has no attribute {attribute!r}"
            f"{did_you_mean(attribute, names)} (it is {getattr(module, '__file__', 'built in')})"
        )
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InputError(f"model {spec!r} is a {type(factory).__name__}, not a function; {HOW}")
    function: Callable[[], Any] = factory
    return function


def call_factory(factory: Callable[[], Any], spec: str) -> Any:
    """Call a factory of the user's own and return its value.

    Args:
        factory: The function.
        spec: How the user names it.

    Raises:
        InputError: If it cannot be called without arguments, or raises anything: names the
            exception and the line.
    """
    try:
        return factory()
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        name = getattr(factory, "__name__", spec)
        raise InputError(f"model {spec!r}: {name} raises {raised(error)}") from error
