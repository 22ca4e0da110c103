"""Describers, metrics, models, labelled images and boards by name.

A registry knows in which module each built-in object is defined, and imports that module when the
name is looked up. Looking up one object imports none of the others. Your own code adds an object in
one of three ways:

- A module uses the registry's decorator. A program imports the module; the command line takes its
  name from ``milannotations --plugin MODULE`` or from the variable ``MILANNOTATIONS_PLUGINS``.
- An installed package declares an entry point in the registry's group.
- A new module below the package of the built-in objects uses the decorator.

Such modules are imported when a name is looked up that is not built in, or all names are listed.
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
        kind: What messages call one of the objects.
        built_in: The built-in objects by name, or their locations, as ``module:attribute``.
        group: The entry-point group of installed packages; empty for none.
        package: The package in which new modules are searched for; empty for none.
        check: Called with the name and the object whenever one is added. It raises ``InputError``
            if the object is of a wrong kind or the name is not allowed.
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
        """Return a decorator that adds an object under a name.

        Raises:
            InputError: If another object has that name, or ``check`` refuses the object.
        """

        def add(value: _Added) -> _Added:
            if name in self.built_in:
                raise InputError(f"a {self.kind} cannot be named {name!r}; the name is taken")
            self._checked(name, value)
            first: Any = self._added.setdefault(name, value)  # type: ignore[arg-type]
            if first is not value:
                raise InputError(f"a {self.kind} is already named {name!r}: {first}")
            return value

        return add

    def get(self, name: str) -> _Object:
        """Return the object of that name, importing its module if necessary.

        Raises:
            InputError: If no object has that name, or its module cannot be imported.
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
        """Return whether an object has that name; errors are those of ``names``."""
        return name in self.built_in or name in self._added or name in self.names()

    def names(self) -> list[str]:
        """Return all names: the built-in ones in their order, then the others alphabetically.

        Raises:
            InputError: If a plugin or a new module cannot be imported.
        """
        return [*self.built_in, *self.added()]

    def added(self) -> list[str]:
        """Return the names that are not built in; errors are those of ``names``."""
        self._import_others()
        return sorted({*self._added, *self._entry_points()})

    def _imported(self, name: str, location: str) -> _Object:
        require_own_packages(location.partition(".")[0])
        value: _Object = EntryPoint(name, location, self._group).load()
        return value

    def _entry_points(self) -> dict[str, EntryPoint]:
        points = entry_points(group=self._group) if self._group else ()
        return {point.name: point for point in points if point.name not in self.built_in}

    def _loaded(self, point: EntryPoint) -> _Object:
        try:
            value: _Object = point.load()
        except Exception as error:  # another package may raise anything when it is imported
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
        """Yield the names of the package's modules that use the decorator and are not built in."""
        if not self._package:
            return
        require_own_packages(self._package.partition(".")[0])
        built_in = {str(location).partition(":")[0] for location in self.built_in.values()}
        for folder in map(Path, importlib.import_module(self._package).__path__):
            for file in sorted(folder.rglob("*.py")):
                name = ".".join([self._package, *file.relative_to(folder).with_suffix("").parts])
                if name not in built_in and _DECORATED.search(file.read_text(encoding="utf-8")):
                    yield name
