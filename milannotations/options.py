"""Describers' options as they are written on the command line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from milannotations.errors import InputError, did_you_mean
from milannotations.numerals import NumeralError, decimal, integer, is_ambiguous, is_numeral

Value = int | float | str
_Model = TypeVar("_Model", bound=BaseModel)


def read_options(texts: Sequence[str]) -> dict[str, Value]:
    """Read ``NAME=VALUE`` options; values that look like numbers become numbers.

    >>> read_options(["length=3", "quantile=.01", "concepts=broden:data?index=a.csv"])
    {'length': 3, 'quantile': 0.01, 'concepts': 'broden:data?index=a.csv'}

    Raises:
        InputError: If an option is not written in this form.
    """
    options: dict[str, Value] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--option {text!r}: write it as NAME=VALUE")
        try:
            options[name] = _value(value)
        except NumeralError as error:
            raise InputError(f"--option {name}: {error}") from error
    return options


def split_names(texts: Sequence[str] | str | None) -> list[str]:
    """Split the comma-separated names of a repeatable option; each name is kept once.

    >>> split_names(["layer1, layer2", "layer4*", "layer1"])
    ['layer1', 'layer2', 'layer4*']
    >>> split_names(None)
    []
    """
    given = [texts] if isinstance(texts, str) else texts or ()
    names = (name.strip() for text in given for name in text.split(","))
    return list(dict.fromkeys(name for name in names if name))


def assignments(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Split the ``NAME=VALUE`` texts of a repeatable option.

    >>> assignments("--note", ["test=written by a grammar, p = 1"])
    {'test': 'written by a grammar, p = 1'}

    Raises:
        InputError: If a text has no name or no value, or a name occurs twice.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputError(f"{option} {text!r}: write it as NAME=VALUE")
        if name in options:
            raise InputError(f"{option} names {name!r} twice")
        options[name] = value
    return options


def _value(text: str) -> Value:
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return integer(text)
    if is_numeral(text) or is_ambiguous(text):
        return decimal(text)  # for an ambiguous text its error says why it is not a number
    return text


def checked(kind: type[_Model], values: Mapping[str, Any], who: str) -> _Model:
    """Return checked settings.

    Raises:
        InputError: If a setting is unknown or out of range; the message names it.
    """
    try:
        options = kind.model_validate(dict(values))
    except ValidationError as error:
        raise input_error(error, kind, who) from error
    for name in values:
        _check_finite(f"{who}: option {name}", getattr(options, name, None))
    return options


def input_error(error: ValidationError, kind: type[BaseModel], who: str) -> InputError:
    """Return the first fault that pydantic found in the settings of ``who``, as one sentence."""
    first = error.errors()[0]
    name = ".".join(str(step) for step in first["loc"])
    if isinstance(cause := first.get("ctx", {}).get("error"), InputError):
        return cause
    if first["type"] == "extra_forbidden":
        return InputError(f"{who} has no option {name!r}{did_you_mean(name, kind.model_fields)}")
    if first["type"] == "missing":
        return InputError(f"{who}: option {name} must be given")
    return InputError(f"{who}: option {name}={first['input']!r}: {first['msg']}")


def _check_finite(what: str, value: object) -> None:
    """Refuse NaN and infinity, which only Python's reader takes for numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{what} is {value}; it must be a finite number")
