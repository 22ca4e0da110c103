"""Describers, metrics, models, labelled images and boards by name.

A registry knows where each built-in object is defined and imports it when its name is asked for,
so that one object can be had without importing the others. Code of your own adds an object in one
of three ways:

- a module with the registry's decorator, which a program imports, and the command line takes as
  ``milannotations --plugin MODULE`` or from the variable ``MILANNOTATIONS_PLUGINS``;
- an entry point of an installed package, in the registry's group;
- a new module with the decorator, below the package of the built-in objects.

These modules are imported when a name is asked for that is not built in, or all names are listed.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from milannotations.errors import InputError, did_you_mean, raised
from milannotations.plugins import import_named, import_plugins
from milannotations.shadowing import require_own_packages

_DECORATED = re.compile(r"^@(?:\w+\.)*register\b", re.MULTILINE)
_Object = TypeVar("_Object")
_Added = TypeVar("_Added")


class Registry(Generic[_Object]):
    """Objects of one kind by name.

    >>> numbers: Registry[type] = Registry("number", {"fraction": "fractions:Fraction"})
    >>> numbers.get("fraction")
    <class 'fractions.Fraction'>
    >>> numbers.register("whole")(int)
    <class 'int'>
    >>> numbers.names()
    ['fraction', 'whole']

    Args:
        kind: What the objects are, in the singular, for messages.
        built_in: The built-in objects, or where they are defined, as ``module:attribute``.
        group: Entry-point group of installed packages; empty for none.
        package: Package whose new modules are looked for; empty for none.
        check: Called with the name and the object that others add; raises ``InputError`` if the
            object cannot be used or the name is not allowed.
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str | _Object],
        *,
        group: str = "",
        package: str = "",
        check: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.kind = kind
        self.built_in = built_in
        self._group = group
        self._package = package
        self._check = check
        self._added: dict[str, _Object] = {}

    def register(self, name: str) -> Callable[[_Added], _Added]:
        """Return a decorator that makes an object available under a name.

        Raises:
            InputError: If the name is taken by another object, or the object cannot be used.
        """

        def add(value: _Added) -> _Added:
            if name in self.built_in:
                raise InputError(f"a {self.kind} cannot be named {name!r}; the name is taken")
            self._checked(name, value)
            other: Any = self._added.setdefault(name, value)  # type: ignore[arg-type]
            if other is not value:
                raise InputError(f"two {self.kind}s are named {name!r}: {other} and {value}")
            return value

        return add

    def get(self, name: str) -> _Object:
        """Return the object of that name; its module is imported if necessary.

        Raises:
            InputError: If there is none, or its module cannot be imported.
        """
        if name in self.built_in:
            value = self.built_in[name]
            return self._imported(name, value) if isinstance(value, str) else value
        points = self._entry_points()
        if name not in self._added and name not in points:
            self._import_others()
        if name in self._added:
            return self._added[name]
        if name in points:
            return self._loaded(points[name])
        names = self.names()
        raise InputError(
            f"no {self.kind} is named {name!r}{did_you_mean(name, names)} (known: {names})"
        )

    def __contains__(self, name: str) -> bool:
        """Whether there is an object of that name; errors are those of ``names``."""
        return name in self.built_in or name in self._added or name in self.names()

    def names(self) -> list[str]:
        """Return all names: the built-in ones in their order, then the others by alphabet.

        Raises:
            InputError: If a plugin or a new module cannot be imported.
        """
        return [*self.built_in, *self.added()]

    def added(self) -> list[str]:
        """Return the names that are not built in; errors are those of ``names``."""
        self._import_others()
        return sorted({*self._added, *self._entry_points()})

    def _imported(self, name: str, place: str) -> _Object:
        require_own_packages(place.partition(".")[0])
        value: _Object = EntryPoint(name, place, self._group).load()
        return value

    def _entry_points(self) -> dict[str, EntryPoint]:
        points = entry_points(group=self._group) if self._group else ()
        return {point.name: point for point in points if point.name not in self.built_in}

    def _loaded(self, point: EntryPoint) -> _Object:
        try:
            value: _Object = point.load()
        except Exception as error:  # whatever another package raises when it is imported
            raise InputError(
                f"{self.kind} {point.name!r} ({point.value}) cannot be loaded: {raised(error)}"
            ) from error
        self._checked(point.name, value)
        return value

    def _checked(self, name: str, value: object) -> None:
        if self._check is not None:
            self._check(name, value)

    def _import_others(self) -> None:
        import_plugins()
        for name in self._new_modules():
            import_named(name, f"module {name} cannot be imported:")

    def _new_modules(self) -> Iterator[str]:
        """Yield the modules of the package that use the decorator and are not built in."""
        if not self._package:
            return
        require_own_packages(self._package.partition(".")[0])
        built_in = {str(place).partition(":")[0] for place in self.built_in.values()}
        for folder in map(Path, importlib.import_module(self._package).__path__):
            for file in sorted(folder.rglob("*.py")):
                name = ".".join([self._package, *file.relative_to(folder).with_suffix("").parts])
                if name not in built_in and _DECORATED.search(file.read_text(encoding="utf-8")):
                    yield name
