"""What options a describer takes: their names, types, defaults and meaning, and checks of values.

They are read from the describer's config (see ``milannotations.describer_config``) or, where it has
none, from the constructor: its signature, those of base classes where it has ``**options``, and
Google-style docstrings. A describer that hands further options to pydantic models names these in a
class attribute ``option_models``. So a describer of another package is listed and checked as ours
are.
"""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic.fields import FieldInfo

from milannotations.errors import InputError, did_you_mean
from milannotations.options import checked

_WIDTH = 80
_ANY = "anything"


@dataclass(frozen=True)
class Option:
    """One option of a describer.

    Attributes:
        name: As it is written on the command line.
        type: Its type, for people.
        default: Its default, for people; empty if it must be given.
        meaning: From the docstring; empty if that says nothing.
        hint: Its type, for checks; ``Any`` if it is not known.
    """

    name: str
    type: str
    default: str
    meaning: str
    hint: Any = Any

    @property
    def writable(self) -> bool:
        """Whether a value can be written on the command line."""
        parts = get_args(self.hint) if get_origin(self.hint) in (Union, UnionType) else (self.hint,)
        plain = (str, int, float, bool, Path, Any)
        return any(member in plain or get_origin(member) is Literal for member in parts)


def options_of(factory: Callable[..., Any]) -> tuple[dict[str, Option], bool]:
    """Return the options that a describer takes, and whether it also takes any others.

    Args:
        factory: A describer's class, or a function that makes one.
    """
    config = getattr(factory, "config_type", None)
    options = {} if config is None else {option.name: option for option in _from_model(config)}
    is_open = False
    for number, (callable_, doc) in enumerate(_constructors(factory) if config is None else ()):
        options |= {
            option.name: option
            for option in _from_signature(callable_, doc)
            # What a base class must be given the class itself gives.
            if option.name not in options and (option.default or not number)
        }
        is_open = _is_open(callable_)
        if not is_open:
            return options, False
    models = _models(factory)
    for model in models:
        options |= {o.name: o for o in _from_model(model) if o.name not in options}
    return options, is_open and not models


def checked_options(
    name: str, factory: Callable[..., Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return options for a describer, numbers and texts converted to the types it takes.

    Args:
        name: The describer's name, for messages.
        factory: See ``options_of``.
        given: The options; values that are neither texts nor numbers are not looked at.

    Raises:
        InputError: If the describer has no such option, one is missing, or a value is not of its
            type.
    """
    options, others = options_of(factory)
    where = f"`milannotations describe --method {name} --help-options` lists them"
    for option in given:
        if option not in options and not others:
            names = ", ".join(options) or "it takes none"
            raise InputError(
                f"describer {name!r} has no option {option!r}{did_you_mean(option, options)} "
                f"(options: {names}; {where})"
            )
    missing = [o.name for o in options.values() if not o.default and o.name not in given]
    if missing:
        raise InputError(f"describer {name!r} needs the option {missing[0]!r}; {where}")
    for model in _models(factory):
        fields = model.model_fields
        checked(model, {n: _as_text(v, fields[n]) for n, v in given.items() if n in fields}, name)
    return {n: _converted(name, options[n], v) if n in options else v for n, v in given.items()}


def _as_text(value: Any, field: FieldInfo) -> Any:
    """Return a number as text where a field takes only text: a folder may be called 2024."""
    members = {field.annotation, *get_args(field.annotation)}
    takes_numbers = bool(members & {int, float, bool, Any})
    return str(value) if isinstance(value, int | float) and not takes_numbers else value


def listing(name: str, factory: Callable[..., Any], width: int = _WIDTH) -> list[str]:
    """Return lines that list a describer's options, ``width`` wide where names allow it."""
    options, others = options_of(factory)
    summary = (inspect.getdoc(factory) or "").partition("\n\n")[0].replace("\n", " ")
    lines = textwrap.wrap(f"{name}: {summary}", width) if summary else [name]
    for option in (option for option in options.values() if option.writable):
        default = f", default {option.default}" if option.default else ", must be given"
        head = f"{option.name}=  {option.type}{default}"
        lines += textwrap.wrap(head, width, initial_indent="  ", subsequent_indent="      ")
        indent = " " * 6
        lines += textwrap.wrap(
            option.meaning, width, initial_indent=indent, subsequent_indent=indent
        )
    if not options:
        lines.append("  no options")
    if others:
        lines.append("  any further NAME=VALUE is handed on; see its documentation")
    return lines


def _constructors(factory: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], str]]:
    """Yield what is called with the options, the outermost first, with its documentation."""
    if not inspect.isclass(factory):
        yield factory, inspect.getdoc(factory) or ""
        return
    for base in factory.__mro__:
        constructor = vars(base).get("__init__")
        if base is not object and constructor is not None:
            of_class = inspect.cleandoc(base.__doc__ or "")
            of_init = inspect.cleandoc(constructor.__doc__ or "")
            yield constructor, f"{of_class}\n\n{of_init}"


def _parameters(callable_: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(callable_).parameters.values() if p.name != "self"]


def _is_open(callable_: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in _parameters(callable_))


def _models(factory: Callable[..., Any]) -> Sequence[type[BaseModel]]:
    return tuple(getattr(factory, "option_models", ()))


def _from_signature(callable_: Callable[..., Any], doc: str) -> Iterator[Option]:
    meanings = documented(doc, "Args")
    try:
        hints = get_type_hints(callable_)
    except Exception:  # names that are only imported for type checkers
        hints = {}
    for parameter in _parameters(callable_):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hint = hints.get(parameter.name, Any)
        default = "" if parameter.default is parameter.empty else _default(parameter.default)
        meaning = meanings.get(parameter.name, "")
        yield Option(parameter.name, _words(hint), default, meaning, hint)


def _from_model(model: type[BaseModel]) -> Iterator[Option]:
    """Yield the fields of a model as options, its own before those of its base classes."""
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        meanings |= documented(inspect.cleandoc(base.__doc__ or ""), "Attributes")
    order = [name for base in model.__mro__ for name in inspect.get_annotations(base)]
    for name in dict.fromkeys(name for name in order if name in model.model_fields):
        field = model.model_fields[name]
        meaning = field.description or meanings.get(name, "")
        default = "" if field.is_required() else _default(field.get_default())
        yield Option(name, _words(field.annotation), default, meaning, field.annotation)


def documented(doc: str, section: str) -> dict[str, str]:
    """Return what a Google-style docstring says of each name in a section.

    >>> documented("Do.\\n\\nArgs:\\n    seed: Of the\\n        draws.\\n    k: How many.", "Args")
    {'seed': 'Of the draws.', 'k': 'How many.'}
    """
    meanings: dict[str, str] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if line and not line.startswith(" "):
            inside = line.strip() == f"{section}:"
        elif inside and (start := re.match(r" {4}\*{0,2}(\w+)(?: \([^)]*\))?: (.*)", line)):
            name, meanings[start[1]] = start[1], start[2]
        elif inside and name and line.strip():
            meanings[name] += f" {line.strip()}"
    return {name: text.replace("``", "'") for name, text in meanings.items()}


def _default(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    return repr(text) if text == "" or " " in text else text


def _words(hint: Any) -> str:
    """Say a type in words that people who do not program know."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_words(member) for member in get_args(hint) if member is not NoneType)
    plain = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: _ANY}
    try:
        return str(plain.get(hint) or getattr(hint, "__name__", hint))
    except TypeError:  # a type that cannot be hashed
        return str(hint)


def _converted(name: str, option: Option, value: Any) -> Any:
    """Return a value as the type of its option."""
    if not isinstance(value, str | int | float) or option.hint is Any:
        return value
    try:
        adapter = TypeAdapter(option.hint)
    except PydanticSchemaGenerationError:
        adapter = TypeAdapter(option.hint, config=ConfigDict(arbitrary_types_allowed=True))
    try:
        with suppress(Invalid):
            return _finite(adapter.validate_python(value), name, option)
        return adapter.validate_python(str(value))  # a folder may be called 2024
    except Invalid as error:
        raise InputError(
            f"describer {name!r}: option {option.name}={value!r} is not of the type it takes "
            f"({option.type})"
        ) from error


def _finite(value: Any, name: str, option: Option) -> Any:
    """Return a value that is no NaN and not infinite, which Python's reader takes for numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"describer {name!r}: option {option.name} is {value}, no finite number")
    return value
