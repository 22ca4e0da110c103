"""The options that a config declares: read from its fields, types and docstring.

See ``milannotations.command_options`` for how a config is written.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from copy import copy
from enum import Enum
from keyword import iskeyword
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Optional,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from typer.models import ParameterInfo

from milannotations.describer_options import documented
from milannotations.options import input_error

_REQUIRED = inspect.Parameter.empty
_PLAIN = (str, int, float, bool, Path)
_Config = TypeVar("_Config")


@dataclasses.dataclass(frozen=True, init=False)
class Only:
    """Marks a field that is a config as giving the command only some of its options.

    Args:
        names: Of these fields; the others keep their defaults on the command line.
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


class PythonOnly:
    """Marks a field that is no option of the command."""


@dataclasses.dataclass(frozen=True)
class WrittenAs:
    """Marks a field that the command line holds as another type, which a validator reads.

    Attributes:
        type: What the command line holds, such as ``str``.
    """

    type: Any


@dataclasses.dataclass(frozen=True)
class FormerName:
    """Marks a field whose option had another name, which still works, with a notice.

    Attributes:
        flag: The old option, such as ``--most``.
    """

    flag: str

    @property
    def name(self) -> str:
        """Name of the command's parameter."""
        return self.flag[2:].replace("-", "_")


@dataclasses.dataclass(frozen=True)
class ConfigOption:
    """One field of a config, as a command's parameter.

    Attributes:
        path: Names of the fields that lead to it from the command's config; its own is the last.
        type: What the command line holds.
        default: What the command line shows; ``inspect.Parameter.empty`` if it must be given.
        help: From the docstring.
        info: Names, metavar, range and panel, as typer takes them.
        former: The option's old name, if it had one.
    """

    path: tuple[str, ...]
    type: Any
    default: Any
    help: str
    info: ParameterInfo
    former: FormerName | None = None

    @property
    def name(self) -> str:
        """Name of the command's parameter: that of the flag if one is declared, or the field's."""
        flags = (getattr(self.info, "default", ""), *(self.info.param_decls or ()))
        named = [flag for flag in flags if isinstance(flag, str) and flag.startswith("--")]
        name = named[0].split("/")[0][2:].replace("-", "_") if named else self.path[-1]
        return f"{name}_" if iskeyword(name) else name

    def parameter(self) -> inspect.Parameter:
        """Return the parameter of the function that typer calls."""
        kind = inspect.Parameter.KEYWORD_ONLY
        annotated: Any = Annotated  # of values, which mypy does not take for types
        return inspect.Parameter(
            self.name, kind, default=self.default, annotation=annotated[self.type, self.info]
        )

    def former_parameter(self, former: FormerName) -> inspect.Parameter:
        """Return the hidden parameter of the option's old name."""
        info: Any = copy(self.info)
        info.default, info.param_decls, info.hidden = former.flag, (), True
        annotated: Any = Annotated
        annotation = annotated[Optional[self.type], info]  # noqa: UP045
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(former.name, kind, default=None, annotation=annotation)


def options_of_config(config: type[Any]) -> list[ConfigOption]:
    """Return the options of a config and of the configs in it.

    >>> from milannotations.shared_options import OverwriteConfig
    >>> [(option.name, option.default) for option in options_of_config(OverwriteConfig)]
    [('overwrite', False)]

    Raises:
        TypeError: If two have the same name, or one has no help.
    """
    options = sorted(_options(config, ()), key=lambda option: option.default is not _REQUIRED)
    names = [option.name for option in options]
    for option in options:
        if names.count(option.name) > 1:
            raise TypeError(f"{config.__name__} has two options {option.name!r}")
        if not option.help:
            raise TypeError(f"{config.__name__}: the docstring does not explain {option.name!r}")
    return options


def build_config(
    config: type[_Config], options: list[ConfigOption], values: Mapping[str, Any]
) -> _Config:
    """Return the config that a command line's values make; what is not given has its default."""
    nested: dict[tuple[str, ...], dict[str, Any]] = {(): {}}
    for option in options:
        for depth in range(len(option.path)):
            nested.setdefault(option.path[:depth], {})
        if values[option.name] not in (None, []):
            nested[option.path[:-1]][option.path[-1]] = values[option.name]
    for path in sorted(nested, key=len, reverse=True)[:-1]:
        nested[path[:-1]][path[-1]] = _instance(_class_at(config, path), nested[path])
    return _instance(config, nested[()])


def _instance(config: type[_Config], values: Mapping[str, Any]) -> _Config:
    try:
        return config(**values)
    except ValidationError as error:  # of a pydantic model that is no ``Config``
        raise input_error(error, config, config.__name__) from error  # type: ignore[arg-type]


def _class_at(config: type[Any], path: tuple[str, ...]) -> type[Any]:
    for name in path:
        config = _fields(config)[name].annotation  # type: ignore[assignment]
    return config


def _fields(config: type[Any]) -> Mapping[str, FieldInfo]:
    """Return the fields of a config: its own first, then those that base classes add."""
    if issubclass(config, BaseModel):
        fields = config.model_fields
    else:
        hints = get_type_hints(config, include_extras=True)
        fields = {
            field.name: FieldInfo.from_annotation(hints[field.name])
            if field.default is dataclasses.MISSING
            else FieldInfo.from_annotated_attribute(hints[field.name], field.default)
            for field in dataclasses.fields(config)
        }
    order = [name for base in config.__mro__ for name in inspect.get_annotations(base)]
    return {name: fields[name] for name in dict.fromkeys(order) if name in fields}


def _options(config: type[Any], path: tuple[str, ...]) -> Iterator[ConfigOption]:
    meanings: dict[str, str] = {}
    for base in reversed(config.__mro__):
        meanings |= documented(inspect.cleandoc(base.__doc__ or ""), "Attributes")
    for name, field in _fields(config).items():
        if PythonOnly in field.metadata:
            continue
        if (group := _config_in(field.annotation)) is not None:
            chosen = [mark.names for mark in field.metadata if isinstance(mark, Only)]
            for option in _options(group, (*path, name)):
                if not chosen or option.path[len(path) + 1] in chosen[0]:
                    yield option
            continue
        default = _REQUIRED if field.is_required() else field.get_default(call_default_factory=True)
        help_ = field.description or meanings.get(name, "")
        written = [mark.type for mark in field.metadata if isinstance(mark, WrittenAs)]
        yield ConfigOption(
            (*path, name),
            written[0] if written else _written_type(field.annotation),
            None if default in ((), [], {}) else default,
            help_,
            _typer_info(field, help_),
            next((mark for mark in field.metadata if isinstance(mark, FormerName)), None),
        )


def _config_in(hint: Any) -> type[Any] | None:
    """Return the type of a field if it is a config."""
    is_config = inspect.isclass(hint) and (
        issubclass(hint, BaseModel) or dataclasses.is_dataclass(hint)
    )
    return hint if is_config else None


def _typer_info(field: FieldInfo, help_: str) -> ParameterInfo:
    """Return what typer is told of a field, apart from its type and default."""
    given = [entry for entry in field.metadata if isinstance(entry, ParameterInfo)]
    info = copy(given[0]) if given else typer.Option()
    info.help = info.help or help_
    for bound in field.metadata:
        info.min = getattr(bound, "ge", info.min)
        info.max = getattr(bound, "le", info.max)
    return info


def _written_type(hint: Any) -> Any:
    """Return what the command line holds of a field of some type.

    >>> _written_type(tuple[str, ...]), _written_type(dict[str, int]), _written_type(slice)
    (list[str], list[str], <class 'str'>)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _written_type(arguments[0])
    if origin in (Union, UnionType):
        members = [member for member in arguments if member is not NoneType]
        written = _written_type(members[0])
        return Optional[written] if NoneType in arguments else written  # noqa: UP045
    if origin in (tuple, list):
        return list[_written_type(arguments[0])]  # type: ignore[misc]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return list[str]
    if hint in _PLAIN or origin is Literal or (inspect.isclass(hint) and issubclass(hint, Enum)):
        return hint
    return str
