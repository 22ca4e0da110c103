"""Names that a package exports, imported on first use.

The ``__init__`` of a package runs before any of its modules, so a package with a light module, such
as a command's config, must not import its heavy modules there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package (PEP 562).

    >>> lazy_exports("package", {"sqrt": "math"})("sqrt")(4.0)
    2.0

    Args:
        package: Name of the package.
        modules: The module that defines each exported name.
    """

    def __getattr__(name: str) -> Any:
        if name in modules:
            return getattr(importlib.import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
