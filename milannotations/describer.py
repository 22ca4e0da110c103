"""The describer protocol and its registry.

A describer turns exemplars into words. To add one, put a class into a new module below
``baselines/`` and decorate it with ``@register("name")``; a package of your own declares it in
the entry-point group ``milannotations.describers``. Nothing else needs an edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from milannotations.describer_options import checked_options, listing, options_of
from milannotations.errors import InputError, did_you_mean, raised

if TYPE_CHECKING:
    from datasets import Dataset

ENTRY_POINT_GROUP = "milannotations.describers"
_BUILT_IN_PACKAGE = "baselines"


class Description(BaseModel):
    """What a describer says of one neuron.

    Attributes:
        text: The description.
        score: The describer's own confidence, on any scale of its own; higher is better.
        alternatives: Other candidates, best first, without ``text`` itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    score: float | None = Field(default=None, allow_inf_nan=False)
    alternatives: tuple[str, ...] = ()


@runtime_checkable
class Describer(Protocol):
    """Anything with ``describe``; ``fit`` too, where it learns.

    One that learns sets ``trained_on`` in ``fit``, a ``milannotations.provenance.TrainingData``, so
    that a warning can be given where the neurons it describes are of another kind.

    Attributes:
        sees_references: True only for controls such as the oracle. The harness takes the
            annotations away from the neurons it hands to every other describer.
    """

    sees_references: ClassVar[bool]

    def fit(self, neurons: Dataset) -> None:
        """Learn from annotated neurons; a describer that does not learn does nothing."""

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons: one description each, in their order."""


DescriberFactory = Callable[..., Describer]
_registry: dict[str, DescriberFactory] = {}
_F = TypeVar("_F", bound=DescriberFactory)


def register(name: str) -> Callable[[_F], _F]:
    """Make a describer class available under a name.

    Raises:
        ValueError: If the name is taken by another class.
    """

    def add(factory: _F) -> _F:
        if _registry.setdefault(name, factory) is not factory:
            raise ValueError(f"two describers are named {name!r}: {_registry[name]} and {factory}")
        return factory

    return add


def available() -> list[str]:
    """Return the names of all describers: built in, and declared by installed packages."""
    _import_built_in()
    return sorted({*_registry, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))})


def create(name: str, **options: Any) -> Describer:
    """Make the describer of that name.

    Args:
        name: A registered name; see ``available``.
        options: Passed to its constructor.

    Raises:
        InputError: If there is none of that name, or it does not take these options.
    """
    factory = _factory(name)
    ready = checked_options(name, factory, options)
    try:
        return factory(**ready)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # of a constructor that checks less than it says
        given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise InputError(
            f"describer {name!r} cannot be made with {given}: {raised(error)}"
        ) from error


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Check the options for a describer without making it, before long work.

    Raises:
        InputError: As ``create``, for what can be told from names and types alone.
    """
    checked_options(name, _factory(name), options)


def list_options(name: str) -> list[str]:
    """Return lines that list a describer's options with types, defaults and meaning.

    Raises:
        InputError: If there is no such describer.
    """
    return listing(name, _factory(name))


def accepts(name: str, option: str) -> bool:
    """Return whether a describer takes an option of that name.

    Raises:
        InputError: If there is no such describer.
    """
    options, others = options_of(_factory(name))
    return others or option in options


def _factory(name: str) -> DescriberFactory:
    if name not in _registry:
        _import_built_in()
    if name in _registry:
        return _registry[name]
    found = {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in found:
        hint = did_you_mean(name, available())
        raise InputError(f"no describer is named {name!r}{hint} (known: {available()})")
    try:
        factory: DescriberFactory = found[name].load()
    except Exception as error:  # whatever another package raises when it is imported
        raise InputError(
            f"describer {name!r} ({found[name].value}) cannot be loaded: {raised(error)}"
        ) from error
    return factory


def _import_built_in() -> None:
    package = importlib.import_module(_BUILT_IN_PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, prefix=f"{_BUILT_IN_PACKAGE}."):
        importlib.import_module(module.name)
